/** Watches the event loop's delay, memory and file descriptors, and says when requests must be turned away. */
import { totalmem } from 'node:os'
import { performance } from 'node:perf_hooks'
import fastifyPlugin from 'fastify-plugin'
import { formatBytes } from '../shared/bytes.ts'
import { canOpenOneMore, residentMemory } from '../traffic/resources.ts'

declare module 'fastify' {
  interface FastifyInstance { pressure: Pressure }
}

export interface Shortage {
  readonly limit: 'SHED_DELAY_MS' | 'SHED_MEMORY_BYTES'
  readonly message: string
}

export interface Pressure {
  /** The resource that the server is short of now, if any; requests that can wait are then turned away. */
  shortage (): Shortage | undefined
  /** Event-loop utilisation in the last second, from 0 (idle) to 1 (busy). */
  readonly utilisation: number
  /** Number of checks, one a second, that found no free file descriptor. */
  readonly exhaustions: number
  /** Called with the delay of each beat, in milliseconds. */
  onDelay: (ms: number) => void
  /** Called once a second while memory is short. */
  onMemoryShort: () => void
}

const BEAT_MS = 50
/** The lasting delay is the median of this many beats: a single block, as in a lesson, delays only one. */
const BEATS = 5
const BEATS_A_LOOK = 20
/** Default share of the memory that the process may use. */
const MEMORY_SHARE = 0.85

export const pressure = fastifyPlugin(async function pressure (app) {
  const { shed } = app.config
  // Without a cgroup limit, constrainedMemory() is larger than the machine's memory.
  const maxRss = shed.memoryBytes || Math.floor(Math.min(process.constrainedMemory() || Infinity, totalmem()) * MEMORY_SHARE)
  const delays: number[] = Array(BEATS).fill(0)
  let lastingDelay = 0
  let beats = 0
  let firedAt = performance.now()
  let rss = 0
  let elu = performance.eventLoopUtilization()
  let utilisation = 0
  let isExhausted = false
  let exhaustions = 0

  function beat (): void {
    const now = performance.now()
    const delay = Math.max(0, now - firedAt - BEAT_MS)
    firedAt = now
    delays[beats++ % BEATS] = delay
    lastingDelay = delays.toSorted((a, b) => a - b)[(BEATS - 1) / 2] ?? 0
    state.onDelay(delay)
    if (beats % BEATS_A_LOOK === 0) look()
  }

  function look (): void {
    const now = performance.eventLoopUtilization()
    utilisation = performance.eventLoopUtilization(now, elu).utilization
    elu = now
    rss = residentMemory() ?? rss
    if (rss > maxRss) state.onMemoryShort()
    const wasExhausted = isExhausted
    isExhausted = !canOpenOneMore()
    if (isExhausted) exhaustions++
    if (isExhausted && !wasExhausted) app.log.error('out of file descriptors: new connections are closed until some are free. Allow more with ulimit -n')
    if (wasExhausted && !isExhausted) app.log.warn('file descriptors are free again')
  }

  const state = {
    shortage (): Shortage | undefined {
      if (lastingDelay > shed.delayMs) return { limit: 'SHED_DELAY_MS', message: `the event loop is ${Math.round(lastingDelay)} ms late` }
      if (rss > maxRss) return { limit: 'SHED_MEMORY_BYTES', message: `the server holds ${formatBytes(rss)} of memory` }
    },
    get utilisation () { return utilisation },
    get exhaustions () { return exhaustions },
    onDelay (_ms: number) {},
    onMemoryShort () {}
  }
  app.decorate<Pressure>('pressure', state)

  const timer = setInterval(beat, BEAT_MS).unref()
  app.addHook('onClose', async () => { clearInterval(timer) })
})
