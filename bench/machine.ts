/** The machine: what it is, what others do on it, and what it allows. */
import { readFileSync } from 'node:fs'
import { availableParallelism, cpus, release, totalmem } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { descriptorLimit } from '../src/traffic/resources.ts'
import { found } from './programs.ts'

const GIB = 1024 ** 3
const TICKS_PER_SECOND = 100
/** CPUs' worth of work by others, below which a round may start. */
const QUIET = 0.6
const SAMPLE_MS = 300
const PAUSE_MS = 1000
/** What src/descriptors.ts lets connections take, and room for the connections that are not held. */
const DESCRIPTOR_SHARE = 0.8
const OTHER_CONNECTIONS = 300

/** Server and generator have a CPU each where they can be given one. */
export interface Pinning { readonly server: readonly string[], readonly generator: readonly string[], readonly isPinned: boolean }

export function pinning (): Pinning {
  if (availableParallelism() < 2 || !found('taskset')) return { server: [], generator: [], isPinned: false }
  return { server: ['taskset', '-c', '0'], generator: ['taskset', '-c', '1'], isPinned: true }
}

export const describeMachine = (): string =>
  `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown CPU'}, ${Math.round(totalmem() / GIB)} GiB, ${process.platform} ${release()}, Node.js ${process.version}`

/** Seconds that all CPUs have worked so far; undefined where there is no /proc. */
function busySeconds (): number | undefined {
  try {
    const [user = 0, nice = 0, system = 0, , , irq = 0, soft = 0, steal = 0] = readFileSync('/proc/stat', 'latin1').split('\n')[0]?.trim().split(/\s+/).slice(1).map(Number) ?? []
    return (user + nice + system + irq + soft + steal) / TICKS_PER_SECOND
  } catch {
    return undefined
  }
}

/** Waits, for so long at most, until others leave the machine alone; resolves to how many CPUs they took at last. */
export async function quiet (longestMs: number): Promise<number | undefined> {
  for (const until = performance.now() + longestMs; ;) {
    const before = busySeconds()
    const from = performance.now()
    await delay(SAMPLE_MS)
    const after = busySeconds()
    if (before === undefined || after === undefined) return undefined
    const others = (after - before) * 1000 / (performance.now() - from)
    if (others < QUIET || performance.now() > until) return others
    await delay(PAUSE_MS)
  }
}

function ephemeralPorts (): number {
  try {
    const [low = 0, high = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'latin1').trim().split(/\s+/).map(Number)
    return high - low + 1
  } catch {
    return 16_000
  }
}

export interface Held { readonly connections: number, readonly sources: number, readonly reason: string }

/** As many idle connections as both processes may have, and why they are fewer than asked for. */
export function holdable (asked: number, sources: number): Held {
  // Other systems have 127.0.0.1 alone on their loopback.
  const addresses = process.platform === 'linux' ? sources : 1
  const descriptors = Math.floor(descriptorLimit() * DESCRIPTOR_SHARE) - OTHER_CONNECTIONS
  const ports = Math.floor(ephemeralPorts() * addresses * DESCRIPTOR_SHARE)
  const connections = Math.max(1, Math.min(asked, descriptors, ports))
  const reason = connections === asked
    ? ''
    : `${connections} idle connections instead of ${asked}: ${descriptors < ports ? `a process may have ${descriptorLimit()} descriptors (ulimit -n)` : 'there are no more ephemeral ports'}`
  return { connections, sources: addresses, reason }
}
