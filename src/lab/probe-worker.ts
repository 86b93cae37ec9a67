/** The probe: a client of every protocol. It runs on its own thread and event loop, so that it can measure a blocked main loop. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Waited } from '../shared/messages.ts'
import type { Transport } from '../shared/transport.ts'
import { openLane, type Lane, type LaneTarget } from './lanes.ts'
import type { FromProbe, ToProbe } from './probe.ts'

const PING_MS = 100
/** Longer than a lesson may block the loop. */
const ANSWER_MS = 5000
const RETRY_MS = 1000

class Pinger {
  readonly transport: Transport
  readonly #target: LaneTarget
  #lane: Promise<Lane> | undefined
  /** Functions that give up the unanswered pings. */
  readonly #unanswered = new Set<() => void>()
  readonly #underWay = new Set<Promise<void>>()
  #retryAt = 0
  /** The slowest round trip since `measure`, in milliseconds; null if one was lost. */
  #slowest: number | null | undefined

  constructor (target: LaneTarget) {
    this.transport = target.transport
    this.#target = target
  }

  /** Sends a ping without waiting for earlier ones. Resolves once it is answered or lost. */
  async ping (): Promise<void> {
    const trip = this.#roundTrip()
    this.#underWay.add(trip)
    await trip
    this.#underWay.delete(trip)
  }

  /** Begins a measurement. Pings at once, even if a retry would have to wait. */
  measure (): void {
    this.#slowest = undefined
    this.#retryAt = 0
    this.ping().catch(() => {})
  }

  /** Ends a measurement after the round trips in flight. Resolves to the slowest, or to null if one got no answer. */
  async measured (): Promise<number | null> {
    await Promise.all(this.#underWay)
    return this.#slowest ?? null
  }

  open (): Promise<Lane> {
    if (this.#lane) return this.#lane
    const lane = openLane(this.#target, {
      // An event of an abandoned lane must not close its successor.
      onLost: () => { if (this.#lane === lane) this.close() },
      onPeer: (peer, isOpen) => tell({ type: 'peer', peer, isOpen }),
      onConnecting: (isConnecting) => tell({ type: 'connecting', isConnecting })
    })
    this.#lane = lane
    return lane
  }

  close (): void {
    this.#lane?.then((lane) => lane.close(), () => {})
    this.#lane = undefined
    for (const giveUp of this.#unanswered) giveUp()
  }

  async #roundTrip (): Promise<void> {
    if (performance.now() < this.#retryAt) return
    const at = Date.now()
    const started = performance.now()
    const lane = this.open()
    let ms: number | null = null
    try {
      const open = await lane
      if (this.#lane !== lane) throw new Error('lost')
      await this.#answer(open)
      ms = Number((performance.now() - started).toFixed(3))
    } catch {
      if (this.#lane === lane) this.close()
      this.#retryAt = performance.now() + RETRY_MS
    }
    this.#slowest = ms === null || this.#slowest === null ? null : Math.max(this.#slowest ?? 0, ms)
    tell({ type: 'ping', ping: { transport: this.transport, at, ms } })
  }

  async #answer (lane: Lane): Promise<void> {
    let giveUp = () => {}
    const timer = setTimeout(() => giveUp(), ANSWER_MS)
    try {
      await new Promise<void>((resolve, reject) => {
        giveUp = () => reject(new Error('no answer'))
        this.#unanswered.add(giveUp)
        lane.send(resolve)
      })
    } finally {
      clearTimeout(timer)
      this.#unanswered.delete(giveUp)
    }
  }
}

const pingers = (workerData as LaneTarget[]).map((target) => new Pinger(target))

function tell (message: FromProbe): void {
  parentPort?.postMessage(message)
}

function pingAll (): void {
  for (const pinger of pingers) pinger.ping().catch(() => {})
}

async function measured (): Promise<void> {
  const waited: Waited = Object.fromEntries(await Promise.all(pingers.map(async (pinger) => [pinger.transport, await pinger.measured()])))
  tell({ type: 'measured', waited })
}

tell({ type: 'loaded' })
// Connect first: a handshake must not count as part of a round trip.
await Promise.allSettled(pingers.map((pinger) => pinger.open()))
await Promise.all(pingers.map((pinger) => pinger.ping()))
let timer = setInterval(pingAll, PING_MS)
parentPort?.on('message', (message: ToProbe) => {
  switch (message) {
    case 'measure':
      // Ping now: the main loop may be blocked already. Later pings follow at the usual interval.
      for (const pinger of pingers) pinger.measure()
      clearInterval(timer)
      timer = setInterval(pingAll, PING_MS)
      return
    case 'measured':
      return measured()
    case 'stop':
      clearInterval(timer)
      // Closing before the last answers arrive would reset the connections, and the server would count errors.
      for (const pinger of pingers) pinger.measured().then(() => pinger.close(), () => {})
      parentPort?.close()
  }
})
tell({ type: 'ready' })
