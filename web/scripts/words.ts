/** What an event means, in words; a limit that was crossed by its name, its value, and a link to what it is. */
import type { FeedEvent } from '../../src/shared/messages.ts'
import { make } from './dom.ts'
import { bytes } from './format.ts'

/** RFC 6455, section 7.4.1, and its registry. */
const CLOSE_CODES: Readonly<Record<number, string>> = {
  1000: 'normal closure',
  1001: 'going away: the page was left, or the server shuts down',
  1002: 'protocol error',
  1003: 'a kind of data that it does not accept',
  1005: 'a close frame without a code',
  1006: 'no close frame: the connection was lost',
  1007: 'a text message that is not UTF-8',
  1008: 'policy violation: a limit was crossed',
  1009: 'a message that is too large',
  1011: 'the server failed',
  1012: 'the server restarts',
  1013: 'try again later: the server is full'
}

/** `1000, normal closure`. */
export function closeCode (code: number): string {
  const meaning = CLOSE_CODES[code] ?? (code >= 4000 && code < 5000 ? 'a code of the application' : code >= 3000 && code < 4000 ? 'a code of a library' : undefined)
  return meaning ? `${code}, ${meaning}` : String(code)
}

const REASONS: Readonly<Record<string, string>> = {
  'closed by client': 'closed: the client ended it',
  'closed by service': 'closed: the service ended it',
  'server draining': 'closed: the server shuts down',
  'reset by client': 'reset by the client (RST): what was under way is lost',
  'client unreachable': 'given up: the client cannot be reached',
  upgraded: 'became a WebSocket',
  'service failed': 'closed: the service failed; the log says why',
  'drain deadline': 'cut off: the server could wait no longer',
  'well-known source port': 'not answered: a port below 1024 may be a service that answers back',
  'own source port': 'not answered: it came from a service of this server, which would answer back',
  'multicast or broadcast source': 'not answered: its sender is a group, not a host',
  'reply larger than request': 'not answered: the answer would be larger than the question',
  'send queue full': 'not answered: too many answers wait to be sent',
  ERR_HOST: 'refused: no valid Host header'
}

type Words = (Node | string)[]

export function describe ({ type, transport, peer, bytes: size = 0, bytesIn = 0, bytesOut = 0, reason = '' }: FeedEvent): Words {
  const count = amount(size)
  switch (type) {
    case 'connect': return [`connected from ${peer}`]
    case 'receive': return [transport === 'udp' ? `received a datagram of ${count}` : transport === 'websocket' ? `received a message of ${count}` : `received ${count}`]
    case 'send': return [transport === 'udp' ? `answered with ${count}` : `sent ${count}`]
    case 'half-close': return ['the client sent its FIN: it sends no more, and may still read']
    case 'close': return [...why(reason), `; ${bytes(bytesIn)} came in, ${bytes(bytesOut)} went out`]
    case 'refuse': return transport === 'udp' ? ['datagram dropped: ', ...limited(reason)] : ['refused: ', ...limited(reason)]
  }
}

function why (reason: string): Words {
  const code = /^close code (\d+)$/.exec(reason)?.[1]
  if (code !== undefined) return [`closed with ${closeCode(Number(code))}`]
  return LIMIT.test(reason) ? ['ended: ', ...limited(reason)] : [REASONS[reason] ?? `closed: ${reason}`]
}

const LIMIT = /^(?:(.*): )?([A-Z]+(?:_[A-Z]+)+)$/

/** `it sent too much: TCP_MAX_BYTES, 256 MiB`. */
function limited (reason: string): Words {
  const [, cause, name = ''] = LIMIT.exec(reason) ?? []
  const entry = document.getElementById(`limit-${name}`)
  if (!entry) return [REASONS[reason] ?? reason]
  const link = make('a', '', name)
  link.href = `#limit-${name}`
  return [...(cause ? [`${cause}: `] : []), link, `, ${entry.dataset.value}`]
}

function amount (size: number): string {
  return size < 1024 ? `${size} byte${size === 1 ? '' : 's'}` : bytes(size)
}
