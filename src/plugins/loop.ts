/** The loop, watched: samples it and probes it while somebody watches, and only then; and runs the lessons. */
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises'
import fastifyPlugin from 'fastify-plugin'
import { reachable } from '../shared/address.ts'
import type { LaneTarget } from '../lab/lanes.ts'
import { LessonBudget, lessons, sentence } from '../lab/lessons.ts'
import { Probe } from '../lab/probe.ts'
import { ProbePeers } from '../lab/probe-peers.ts'
import { startSampler } from '../lab/sampler.ts'
import type { LessonKind, LessonResult, LessonStarted, LoopSample, Ping } from '../shared/messages.ts'

declare module 'fastify' {
  interface FastifyInstance { loop: Loop }
}

export interface LoopListener {
  onSample (sample: LoopSample): void
  onPing (ping: Ping): void
  onLessonStarted (lesson: LessonStarted): void
  onLessonEnded (lesson: LessonResult): void
}

export interface Loop {
  /** The addresses that the probe connects from. */
  readonly probePeers: Pick<ProbePeers, 'has' | 'size' | 'isConnecting'>
  /** What the probe pings: nothing with LAB=off, or where no service answers. */
  lanes (): readonly LaneTarget[]
  /** Tells the listener about the loop until the function that is returned is called. */
  watch (listener: LoopListener): () => void
  /** The lesson that runs now. */
  lesson (): LessonStarted | null
  /** Runs a lesson of `ms` milliseconds and measures what it does to everybody. Throws a LessonRefused. */
  teach (kind: LessonKind, ms: number): Promise<LessonResult>
}

/** A viewer who is gone at once, such as a health check, needs no thread. */
const PROBE_DELAY_MS = 200
const PROBE_RETRY_MS = 1000
/** How long a drain waits for the probe's connections to end. */
const PROBE_LEAVES_MS = 200
const PROBED = [
  { name: 'http', path: '/healthz' },
  { name: 'ws-echo', path: '/ws/echo' },
  { name: 'echo', path: '' },
  { name: 'udp-echo', path: '' }
]

export const loop = fastifyPlugin(async function loop (app) {
  const { config, log } = app
  const listeners = new Set<LoopListener>()
  const budget = new LessonBudget()
  const probePeers = new ProbePeers()
  app.connections.isProbe = (peer) => probePeers.has(peer)
  let probe: Probe | undefined
  let stopping: Promise<void> = Promise.resolve()
  let isClosed = false
  let users = 0
  let lastLesson = 0
  let current: LessonStarted | null = null
  let stopSampler = () => {}
  let probeTimer: NodeJS.Timeout | undefined

  const tell = (say: (listener: LoopListener) => void) => { for (const listener of listeners) say(listener) }

  function lanes (): LaneTarget[] {
    if (!config.lab) return []
    return PROBED.flatMap(({ name, path }) => {
      // A draining server serves as ever, for DRAIN_DELAY_MS.
      const endpoint = app.endpoints.find((one) => one.name === name && ['open', 'draining'].includes(one.state))
      return endpoint ? [{ transport: endpoint.transport, host: reachable(endpoint.address), port: endpoint.port ?? 0, path }] : []
    })
  }

  function startProbe (): Probe | undefined {
    if (probe || isClosed) return probe
    const targets = lanes()
    if (targets.length === 0) return
    const onError = (err: unknown) => log.error({ err }, 'the probe failed')
    let started: Probe
    try {
      started = new Probe({ lanes: targets, peers: probePeers, onPing: (ping) => tell((listener) => listener.onPing(ping)), onError })
    } catch (error) {
      // A machine that has no thread to give serves on.
      onError(error)
      if (users > 0) scheduleProbe(PROBE_RETRY_MS)
      return
    }
    probe = started
    started.ended.then(() => {
      if (probe !== started) return
      probe = undefined
      if (users > 0) scheduleProbe(PROBE_RETRY_MS)
    }).catch(() => {})
    return probe
  }

  function scheduleProbe (delayMs: number): void {
    if (config.lab) probeTimer ??= setTimeout(() => { probeTimer = undefined; startProbe() }, delayMs)
  }

  function stopProbe (): void {
    clearTimeout(probeTimer)
    probeTimer = undefined
    const last = probe
    probe = undefined
    if (last) stopping = Promise.all([stopping, last.stop()]).then(() => {})
  }

  function release (): void {
    if (--users === 0) stopProbe()
  }

  function watch (listener: LoopListener): () => void {
    listeners.add(listener)
    if (listeners.size === 1) stopSampler = startSampler((sample) => tell((one) => one.onSample(sample)))
    if (++users === 1) scheduleProbe(PROBE_DELAY_MS)
    return () => {
      if (!listeners.delete(listener)) return
      if (listeners.size === 0) stopSampler()
      release()
    }
  }

  async function teach (kind: LessonKind, ms: number): Promise<LessonResult> {
    budget.begin(kind, ms, performance.now())
    users++
    try {
      const prober = startProbe()
      // Without its probe a lesson still teaches; its log says what happened to that.
      await prober?.ready.catch(() => {})
      const lesson: LessonStarted = { id: ++lastLesson, kind, ms, at: Date.now() }
      current = lesson
      tell((listener) => listener.onLessonStarted(lesson))
      // What was told goes out at the end of a turn: after a Block nobody would need it.
      await turn()
      const measured = prober?.measure()
      await lessons[kind](ms)
      const endedAt = Date.now()
      const waited = await measured?.() ?? {}
      const result: LessonResult = { ...lesson, endedAt, waited, sentence: sentence({ kind, ms, waited }) }
      tell((listener) => listener.onLessonEnded(result))
      return result
    } finally {
      current = null
      budget.end()
      release()
    }
  }

  app.decorate<Loop>('loop', { probePeers, lanes, watch, lesson: () => current, teach })

  // Registered before the runners: the probe leaves before they drain.
  app.addHook('preClose', async () => {
    isClosed = true
    stopSampler()
    stopProbe()
    // No longer than that: on a busy machine the probe's thread may take seconds to load its modules.
    await Promise.race([stopping, delay(PROBE_LEAVES_MS, undefined, { ref: false })])
  })
  app.addHook('onClose', async () => { await stopping })
})
