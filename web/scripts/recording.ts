/** What the stage and the chart draw: the probe's pings, the visitor's messages, and the lessons. All times are the server's, in milliseconds. */
import type { LessonKind, LessonStarted, LoopSample, Ping } from '../../src/shared/messages.ts'
import type { Transport } from '../../src/shared/transport.ts'

/** The probe's clock: it sends a ping on each lane, whether or not those before were answered. */
const PING_MS = 100
/** Pings that are not heard of while the server speaks are none: the probe has gone. */
const MISSED_MS = 1000
/** A ping is given up after 5 s; what passed the loop is drawn for a moment longer. */
const DOT_MS = 8000
const MAX_YOURS = 50
export const MAX_WINDOW_MS = 60_000

/** A message on its way to the loop. */
export interface Dot {
  /** When it was sent; of a visitor's, which nobody else knows, when the loop had it. */
  readonly at: number
  /** Until it was answered; undefined while that is not known, null where no answer came. */
  readonly ms: number | null | undefined
  readonly isYours: boolean
  /** Where it was drawn last, in pixels along its lane. */
  place?: number
}

export interface Trip { readonly at: number, readonly ms: number | null }

export interface Band {
  readonly id: number
  readonly kind: LessonKind
  readonly ms: number
  readonly from: number
  readonly to: number | undefined
}

export class Lane {
  readonly transport: Transport
  /** The oldest first. */
  dots: Dot[] = []
  trips: Trip[] = []
  #lastSentAt: number | undefined

  constructor (transport: Transport) {
    this.transport = transport
  }

  /** The probe's clock begins anew with each lesson. */
  restart (at: number): void {
    if (this.#lastSentAt === undefined) return
    this.dots = this.dots.filter(({ at: sent, ms }) => ms !== undefined || sent < at)
    this.#expect(at)
  }

  /** Pings that must have been sent by now, though nothing was heard of them: a blocked loop tells this page nothing either. */
  expect (now: number): void {
    while (this.#lastSentAt !== undefined && this.#lastSentAt + PING_MS <= now) this.#expect(this.#lastSentAt + PING_MS)
  }

  #expect (at: number): void {
    this.#add({ at, ms: undefined, isYours: false })
    this.#lastSentAt = at
  }

  /** @param at when the server spoke. */
  heard (pings: readonly Ping[], at: number): void {
    for (const ping of pings) {
      this.trips.push(ping)
      this.#measured(ping)
    }
    this.trips.sort((a, b) => a.at - b.at)
    const last = this.trips.at(-1)
    if (!last) return
    if (at - last.at > MISSED_MS && pings.length === 0) this.#lastSentAt = undefined
    // What was expected and never sent.
    const sentUntil = this.#lastSentAt === undefined ? Infinity : last.at
    this.dots = this.dots.filter(({ at, ms, isYours }) => ms !== undefined || isYours || at > sentUntil)
  }

  #measured ({ at, ms }: Ping): void {
    const expected = this.dots.findIndex((dot) => dot.ms === undefined && !dot.isYours && Math.abs(dot.at - at) <= PING_MS / 2)
    const place = this.dots[expected]?.place
    if (expected >= 0) this.dots.splice(expected, 1)
    this.#add({ at, ms, isYours: false, ...(place !== undefined && { place }) })
    this.#lastSentAt = Math.max(this.#lastSentAt ?? at, at)
  }

  /** The visitor's own client sent something. */
  yours (at: number, ms: number | undefined): void {
    if (this.dots.filter(({ isYours }) => isYours).length < MAX_YOURS) this.#add({ at, ms, isYours: true })
  }

  /** The loop had what the playground sent before; returns false where that was not so. */
  yoursArrived (at: number): boolean {
    const index = this.dots.findIndex(({ isYours, ms }) => isYours && ms === undefined)
    const sent = this.dots[index]
    if (!sent) return false
    this.dots[index] = { ...sent, ms: Math.max(0, at - sent.at) }
    return true
  }

  #add (dot: Dot): void {
    const after = this.dots.findLastIndex(({ at }) => at <= dot.at)
    this.dots.splice(after + 1, 0, dot)
  }

  forget (now: number): void {
    this.dots = this.dots.filter(({ at }) => at > now - DOT_MS)
    const first = this.trips.findIndex(({ at }) => at > now - MAX_WINDOW_MS)
    if (first > 0) this.trips.splice(0, first)
  }

  /** Nobody knows what happens now. */
  lost (): void {
    this.dots = []
    this.#lastSentAt = undefined
  }
}

export class Recording {
  readonly lanes: readonly Lane[] = (['http', 'websocket', 'tcp', 'udp'] as const).map((transport) => new Lane(transport))
  /** The delay of the loop's timers. */
  delays: Trip[] = []
  bands: Band[] = []

  lane (transport: Transport): Lane | undefined {
    return this.lanes.find((lane) => lane.transport === transport)
  }

  heard (pings: readonly Ping[], { at, max }: LoopSample): void {
    this.delays.push({ at, ms: max })
    for (const lane of this.lanes) lane.heard(pings.filter(({ transport }) => transport === lane.transport), at)
  }

  lessonStarted ({ id, kind, ms, at }: LessonStarted): void {
    if (this.bands.some((band) => band.id === id)) return
    this.bands.push({ id, kind, ms, from: at, to: undefined })
    for (const lane of this.lanes) lane.restart(at)
  }

  lessonEnded (id: number, to: number): void {
    this.bands = this.bands.map((band) => band.id === id ? { ...band, to } : band)
  }

  /** No lesson runs, whether or not its end was heard. */
  idle (now: number): void {
    this.bands = this.bands.map((band) => ({ ...band, to: band.to ?? now }))
  }

  advance (now: number): void {
    this.bands = this.bands.filter(({ to }) => to === undefined || to > now - MAX_WINDOW_MS)
    this.delays = this.delays.filter(({ at }) => at > now - MAX_WINDOW_MS)
    for (const lane of this.lanes) {
      lane.expect(now)
      lane.forget(now)
    }
  }

  lost (now: number): void {
    this.idle(now)
    for (const lane of this.lanes) lane.lost()
  }
}
