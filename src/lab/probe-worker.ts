/** The probe: a client of every protocol on a thread, and so an event loop, of its own, so that a blocked main loop shows. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Waited } from '../shared/messages.ts'
import type { Transport } from '../shared/transport.ts'
import { openLane, type Lane, type LaneTarget } from './lanes.ts'
import type { FromProbe, ToProbe } from './probe.ts'

const PING_MS = 100
/** Longer than the loop may be blocked. */
const ANSWER_MS = 5000
const RETRY_MS = 1000

class Pinger {
  readonly transport: Transport
  readonly #target: LaneTarget
  #lane: Lane | undefined
  #underWay: Promise<void> | undefined
  #retryAt = 0
  #answered = () => {}
  #lost = (_error: Error) => {}
  /** The round trips that ended since `measure`, the slowest of them: null once one was lost. */
  #slowest: number | null | undefined

  constructor (target: LaneTarget) {
    this.transport = target.transport
    this.#target = target
  }

  /** Begins one round trip, unless one is under way; resolves once it is over. */
  ping (): Promise<void> {
    this.#underWay ??= this.#roundTrip().finally(() => { this.#underWay = undefined })
    return this.#underWay
  }

  /** From now on the slowest counts. Pings at once, also where a retry would wait. */
  measure (): void {
    this.#slowest = undefined
    this.#retryAt = 0
    this.ping().catch(() => {})
  }

  /** Resolves once no round trip is under way: to the slowest, or to null where one got no answer. */
  async measured (): Promise<number | null> {
    await this.#underWay
    return this.#slowest ?? null
  }

  async open (): Promise<Lane> {
    if (this.#lane) return this.#lane
    const opened: { lane?: Lane, isLost: boolean } = { isLost: false }
    // What a lane says once it is given up must not count for the next.
    const isCurrent = () => this.#lane === opened.lane
    opened.lane = await openLane(this.#target, {
      onAnswer: () => { if (isCurrent()) this.#answered() },
      onLost: () => {
        opened.isLost = true
        if (!isCurrent()) return
        this.#lane = undefined
        this.#lost(new Error('lost'))
      },
      onPeer: (peer, isOpen) => tell({ type: 'peer', peer, isOpen }),
      onConnecting: (isConnecting) => tell({ type: 'connecting', isConnecting })
    })
    if (opened.isLost) throw new Error('lost')
    this.#lane = opened.lane
    return opened.lane
  }

  close (): void {
    const lane = this.#lane
    this.#lane = undefined
    lane?.close()
  }

  async #roundTrip (): Promise<void> {
    if (Date.now() < this.#retryAt) return
    const at = Date.now()
    const started = performance.now()
    let ms: number | null = null
    let timer: NodeJS.Timeout | undefined
    try {
      const lane = await this.open()
      await new Promise<void>((resolve, reject) => {
        this.#answered = resolve
        this.#lost = reject
        timer = setTimeout(() => reject(new Error('no answer')), ANSWER_MS)
        lane.send()
      })
      ms = Number((performance.now() - started).toFixed(3))
    } catch {
      this.close()
      this.#retryAt = Date.now() + RETRY_MS
    }
    clearTimeout(timer)
    this.#slowest = ms === null || this.#slowest === null ? null : Math.max(this.#slowest ?? 0, ms)
    tell({ type: 'ping', ping: { transport: this.transport, at, ms } })
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
// The connections first: a handshake is no round trip.
await Promise.allSettled(pingers.map((pinger) => pinger.open()))
await Promise.all(pingers.map((pinger) => pinger.ping()))
const timer = setInterval(pingAll, PING_MS)
parentPort?.on('message', (message: ToProbe) => {
  switch (message) {
    case 'measure':
      // Now, on the side of the loop that goes on: the other may be blocked already.
      for (const pinger of pingers) pinger.measure()
      return
    case 'measured':
      return measured()
    case 'stop':
      clearInterval(timer)
      // Closing while an answer is on its way would reset the connection, and the server would count an error.
      for (const pinger of pingers) pinger.measured().then(() => pinger.close(), () => {})
      parentPort?.close()
  }
})
tell({ type: 'ready' })
