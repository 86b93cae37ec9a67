/** Samples and probes the event loop while somebody watches, and runs the lessons. */
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
  /** The services that the probe pings: none with LAB=off. */
  lanes (): readonly LaneTarget[]
  /** Tells the listener about the loop until the returned function is called. */
  watch (listener: LoopListener): () => void
  /** The running lesson. */
  lesson (): LessonStarted | null
  /** Runs a lesson of `ms` milliseconds and measures how long clients wait. Throws a LessonRefused. */
  teach (kind: LessonKind, ms: number): Promise<LessonResult>
}

/** A viewer that leaves at once, such as a health check, needs no probe. */
const PROBE_DELAY_MS = 200
const PROBE_RETRY_MS = 1000
/** Longest wait of a drain for the probe's connections to end. */
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
      // A draining server still serves for DRAIN_DELAY_MS.
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
      // Without a thread for the probe, the server serves on.
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
      // A lesson runs without its probe too; the log says why the probe failed.
      await prober?.ready.catch(() => {})
      const lesson: LessonStarted = { id: ++lastLesson, kind, ms, at: Date.now() }
      current = lesson
      tell((listener) => listener.onLessonStarted(lesson))
      // Messages go out at the end of a turn, and must be sent before the loop is blocked.
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

  // Registered before the runners, so that the probe leaves before they drain.
  app.addHook('preClose', async () => {
    isClosed = true
    stopSampler()
    stopProbe()
    // Bounded: on a busy machine the probe's thread may take seconds to load its modules.
    await Promise.race([stopping, delay(PROBE_LEAVES_MS, undefined, { ref: false })])
  })
  app.addHook('onClose', async () => { await stopping })
})
