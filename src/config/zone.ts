/** Sets TZ so that Node.js uses the time zone that date(1) shows, if it does not already. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { promisify } from 'node:util'

const WEEK_S = 604_800
const WEEKS = 53
const DATE_MS = 2000
/** Falls back to one date(1) for each time: BusyBox cannot read a list. */
const OFFSETS = 'printf "@%s\\n" "$@" | date -f - +%z 2>/dev/null || for t; do date -d "@$t" +%z; done'

/**
 * Node.js knows zones by their names (`Europe/Berlin`), also from the link at /etc/localtime. It reads neither TZ in POSIX form
 * (`CET-1CEST,M3.5.0,M10.5.0/3`) nor a file that is mounted over /etc/localtime or over the link's target.
 * @returns the problem, if no zone that Node.js knows matches date(1).
 */
export async function adoptZone (): Promise<string | undefined> {
  const { TZ } = process.env
  if (TZ === undefined || TZ === '' ? !existsSync('/etc/localtime') : isKnown(TZ)) return
  const start = Math.floor(Date.now() / 1000)
  const times = Array.from({ length: WEEKS }, (_, week) => start + week * WEEK_S)
  const wanted = await offsetsOfDate(times)
  if (!wanted) return
  const isRight = () => times.every((time, index) => -new Date(time * 1000).getTimezoneOffset() === wanted[index])
  if (isRight()) return
  for (const zone of zones()) {
    process.env.TZ = zone
    if (isRight()) return
  }
  if (TZ === undefined) delete process.env.TZ
  else process.env.TZ = TZ
  return `Node.js does not know the time zone that date(1) shows: times are in ${Intl.DateTimeFormat().resolvedOptions().timeZone}. Set TZ to a name such as Europe/Berlin`
}

function isKnown (zone: string): boolean {
  try {
    Intl.DateTimeFormat('en', { timeZone: zone.replace(/^:/, '') })
    return true
  } catch {
    return false
  }
}

/** Minutes east of UTC at these times (seconds since the epoch); undefined if date(1) fails. */
async function offsetsOfDate (times: readonly number[]): Promise<number[] | undefined> {
  try {
    const { stdout } = await promisify(execFile)('sh', ['-c', OFFSETS, 'sh', ...times.map(String)], { timeout: DATE_MS })
    const offsets = [...stdout.matchAll(/^([+-])(\d\d)(\d\d)$/gm)].map(([, sign, hours, minutes]) => (sign === '-' ? -1 : 1) * (Number(hours) * 60 + Number(minutes)))
    return offsets.length === times.length ? offsets : undefined
  } catch {
    return undefined
  }
}

function zones (): string[] {
  const fixed = Array.from({ length: 27 }, (_, i) => i - 14).map((west) => `Etc/GMT${west < 0 ? west : `+${west}`}`)
  return ['UTC', ...Intl.supportedValuesOf('timeZone'), ...fixed]
}
