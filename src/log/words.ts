/** A log line in words, for a terminal: `14:03:22.512  echo       127.0.0.1:51810  closed by client after 5 ms, 11 B in, 11 B out`. */
import { styleText } from 'node:util'
import { pino } from 'pino'
import { printable } from '../shared/printable.ts'

interface Line {
  readonly time: number
  readonly level: number
  readonly msg: string
  readonly err?: { readonly message: string, readonly stack: string, readonly code?: string }
  readonly [field: string]: unknown
}

const SERVICE_CHARS = 9
const PEER_CHARS = 15

/** @param json a line as pino writes it. */
export function words (json: string): string {
  const line = JSON.parse(json) as Line
  const { time, level, pid, hostname, reqId, connection, service, peer, msg, err, ...others } = line
  const { reason, count, method, url, status, durationMs, bytes, bytesIn, bytesOut, unlogged, ...rest } = others
  const subject = msg === 'connection closed' ? reason : msg === 'request' ? `${method} ${url}: ${status}` : msg
  const text = [
    subject,
    Number(count) > 1 ? ` ${count} times` : '',
    reason === undefined || subject === reason ? '' : `: ${reason}`,
    err === undefined ? '' : `: ${err.message}`,
    durationMs === undefined ? '' : ` after ${durationMs} ms`,
    bytes === undefined ? '' : `, ${bytes} B`,
    bytesIn === undefined ? '' : `, ${bytesIn} B in, ${bytesOut} B out`,
    unlogged === undefined ? '' : ` (lines left out before this one: ${unlogged})`,
    Object.keys(rest).length === 0 ? '' : ` ${JSON.stringify(rest)}`
  ].join('')
  const columns = [clock(time), ...column(service, SERVICE_CHARS), ...column(peer, PEER_CHARS), text]
  // A system error has a code and needs no stack; a bug does.
  const stack = err && err.code === undefined ? err.stack.split('\n').slice(1) : []
  return [columns.join('  '), ...stack].map((row) => `${coloured(level, printable(row, Infinity))}\n`).join('')
}

const column = (value: unknown, width: number): string[] => value === undefined ? [] : [String(value).padEnd(width)]

function coloured (level: number, text: string): string {
  const { warn, error } = pino.levels.values
  if (level < (warn ?? 0)) return text
  return styleText(level < (error ?? 0) ? 'yellow' : 'red', text)
}

/** `14:03:22.512`, local time. */
function clock (time: number): string {
  const date = new Date(time)
  return `${date.toTimeString().slice(0, 8)}.${String(date.getMilliseconds()).padStart(3, '0')}`
}
