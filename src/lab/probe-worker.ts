/** The probe: a client of every protocol on a thread, and so an event loop, of its own, so that a blocked main loop shows. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Waited } from '../messages.ts'
import type { Transport } from '../transport.ts'
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
  #onAnswer = () => {}
  #onLost = () => {}
  /** The slowest round trip since `slowest` was last reset: null once one was lost. */
  slowest: number | null = 0

  constructor (target: LaneTarget) {
    this.transport = target.transport
    this.#target = target
  }

  /** Begins one round trip, unless one is under way; resolves once it is over. */
  ping (): Promise<void> {
    this.#underWay ??= this.#roundTrip().finally(() => { this.#underWay = undefined })
    return this.#underWay
  }

  /** Resolves once no round trip is under way. */
  async settled (): Promise<void> {
    await this.#underWay
  }

  async open (): Promise<void> {
    this.#lane ??= await openLane(this.#target, {
      onAnswer: () => this.#onAnswer(),
      onLost: () => this.#onLost(),
      onPeer: (peer, isOpen) => tell({ type: 'peer', peer, isOpen })
    })
  }

  close (): void {
    this.#lane?.close()
    this.#lane = undefined
  }

  async #roundTrip (): Promise<void> {
    if (Date.now() < this.#retryAt) return
    const at = Date.now()
    const started = performance.now()
    let ms: number | null = null
    let timer: NodeJS.Timeout | undefined
    try {
      await this.open()
      await new Promise<void>((resolve, reject) => {
        this.#onAnswer = resolve
        this.#onLost = () => reject(new Error('lost'))
        timer = setTimeout(this.#onLost, ANSWER_MS)
        this.#lane?.send()
      })
      ms = Number((performance.now() - started).toFixed(3))
    } catch {
      // A late answer must not count for the next ping: that one gets a new connection.
      this.close()
      this.#retryAt = Date.now() + RETRY_MS
    }
    clearTimeout(timer)
    if (ms === null) this.slowest = null
    else if (this.slowest !== null) this.slowest = Math.max(this.slowest, ms)
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
  await Promise.all(pingers.map((pinger) => pinger.settled()))
  const waited: Waited = Object.fromEntries(pingers.map(({ transport, slowest }) => [transport, slowest]))
  tell({ type: 'measured', waited })
}

// The connections first: a handshake is no round trip.
await Promise.allSettled(pingers.map((pinger) => pinger.open()))
await Promise.all(pingers.map((pinger) => pinger.ping()))
const timer = setInterval(pingAll, PING_MS)
parentPort?.on('message', (message: ToProbe) => {
  switch (message) {
    case 'measure':
      for (const pinger of pingers) pinger.slowest = 0
      // Now, on the side of the loop that goes on: the other may be blocked already.
      return pingAll()
    case 'measured':
      return measured()
    case 'stop':
      clearInterval(timer)
      for (const pinger of pingers) pinger.close()
      parentPort?.close()
  }
})
tell({ type: 'ready' })
