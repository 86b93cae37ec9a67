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
  #lane: Promise<Lane> | undefined
  /** Pings that have no answer yet: each can be given up. */
  readonly #unanswered = new Set<() => void>()
  readonly #underWay = new Set<Promise<void>>()
  #retryAt = 0
  /** The slowest of the round trips that ended since `measure`: null once one was lost. */
  #slowest: number | null | undefined

  constructor (target: LaneTarget) {
    this.transport = target.transport
    this.#target = target
  }

  /** Sends a ping, whether or not those before it were answered; resolves once it was, or is lost. */
  async ping (): Promise<void> {
    const trip = this.#roundTrip()
    this.#underWay.add(trip)
    await trip
    this.#underWay.delete(trip)
  }

  /** From now on the slowest counts. Pings at once, also where a retry would wait. */
  measure (): void {
    this.#slowest = undefined
    this.#retryAt = 0
    this.ping().catch(() => {})
  }

  /** Resolves once the round trips under way are over: to the slowest, or to null where one got no answer. */
  async measured (): Promise<number | null> {
    await Promise.all(this.#underWay)
    return this.#slowest ?? null
  }

  open (): Promise<Lane> {
    if (this.#lane) return this.#lane
    const lane = openLane(this.#target, {
      // What a lane says once it is given up must not count for the next.
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
    if (Date.now() < this.#retryAt) return
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
      this.#retryAt = Date.now() + RETRY_MS
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
// The connections first: a handshake is no round trip.
await Promise.allSettled(pingers.map((pinger) => pinger.open()))
await Promise.all(pingers.map((pinger) => pinger.ping()))
let timer = setInterval(pingAll, PING_MS)
parentPort?.on('message', (message: ToProbe) => {
  switch (message) {
    case 'measure':
      // Now, on the side of the loop that goes on: the other may be blocked already. The next ones follow at their usual distance.
      for (const pinger of pingers) pinger.measure()
      clearInterval(timer)
      timer = setInterval(pingAll, PING_MS)
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
