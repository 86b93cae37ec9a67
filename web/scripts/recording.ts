/** What the stage and the chart draw: the probe's pings, the visitor's messages, and the lessons. All times are the server's, in milliseconds. */
import type { LessonKind, LessonResult, LessonStarted, LoopSample, Ping } from '../../src/shared/messages.ts'
import type { Transport } from '../../src/shared/transport.ts'

/** The probe's clock: it sends a ping on each lane, whether or not those before were answered. */
export const PING_MS = 100
/** After so many messages of the server without a ping the probe has gone, and no pings are expected. */
const MAX_SILENT = 10
/** How long a dot is kept: a ping is given up after 5 s, and an answered one is drawn for a moment longer. */
const DOT_MS = 8000
const MAX_YOURS = 50
export const MAX_WINDOW_MS = 60_000

/** A message on its way to the loop. */
export interface Dot {
  /** When it was sent. For a visitor's own client, when it arrived: nobody knows when it was sent. */
  readonly at: number
  /** Milliseconds to its answer; undefined while that is not known, null if no answer came. */
  readonly ms: number | null | undefined
  readonly isYours: boolean
  /** Sent by this page's playground, and not heard of in the feed yet. */
  isFromHere?: boolean
  /** Where it was drawn last, in pixels along its lane. */
  place?: number
}

export interface Trip { readonly at: number, readonly ms: number | null }

export interface Band {
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
  /** The last ping that the message before told of. */
  #heardUntil = -Infinity
  #silent = 0

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
    if (this.#lastSentAt === undefined) return
    // A hidden page draws nothing, and expects nothing.
    if (this.#lastSentAt < now - DOT_MS) this.#lastSentAt = now - DOT_MS
    while (this.#lastSentAt + PING_MS <= now) this.#expect(this.#lastSentAt + PING_MS)
  }

  #expect (at: number): void {
    this.#add({ at, ms: undefined, isYours: false })
    this.#lastSentAt = at
  }

  heard (pings: readonly Ping[]): void {
    for (const ping of pings) {
      this.trips.push(ping)
      this.#measured(ping)
    }
    this.trips.sort((a, b) => a.at - b.at)
    this.#silent = pings.length > 0 ? 0 : this.#silent + 1
    const isGone = this.#silent >= MAX_SILENT
    if (isGone) this.#lastSentAt = undefined
    // Expected, but never sent. Answers to one turn of the loop may come in two messages.
    this.dots = this.dots.filter(({ at, ms, isYours }) => ms !== undefined || isYours || (!isGone && at > this.#heardUntil))
    this.#heardUntil = this.trips.at(-1)?.at ?? -Infinity
  }

  #measured ({ at, ms }: Ping): void {
    const expected = this.dots.findIndex((dot) => dot.ms === undefined && !dot.isYours && Math.abs(dot.at - at) <= PING_MS / 2)
    const place = this.dots[expected]?.place
    if (expected >= 0) this.dots.splice(expected, 1)
    this.#add({ at, ms, isYours: false, ...(place !== undefined && { place }) })
    this.#lastSentAt = Math.max(this.#lastSentAt ?? at, at)
  }

  /** The visitor's own client sent something, and the loop has it. */
  yours (at: number): void {
    const fromHere = this.dots.findIndex((dot) => dot.isFromHere)
    const sent = this.dots[fromHere]
    if (sent) this.dots[fromHere] = { ...sent, ms: Math.max(0, at - sent.at), isFromHere: false }
    else this.#addYours({ at, ms: 0, isYours: true })
  }

  /** This page's playground sent a message. */
  sent (at: number): void {
    this.#addYours({ at, ms: undefined, isYours: true, isFromHere: true })
  }

  /** The playground's first message without an answer has got it. The feed, which knows better when, may be filtered. */
  echoed (at: number): void {
    const first = this.dots.findIndex(({ isYours, ms }) => isYours && ms === undefined)
    const sent = this.dots[first]
    if (sent) this.dots[first] = { ...sent, ms: Math.max(0, at - sent.at) }
  }

  #addYours (dot: Dot): void {
    if (this.dots.filter(({ isYours }) => isYours).length < MAX_YOURS) this.#add(dot)
  }

  #add (dot: Dot): void {
    const after = this.dots.findLastIndex(({ at }) => at <= dot.at)
    this.dots.splice(after + 1, 0, dot)
  }

  forget (now: number): void {
    this.dots = this.dots.filter(({ at }) => at > now - DOT_MS)
    this.trips = this.trips.filter(({ at }) => at > now - MAX_WINDOW_MS)
  }

  /** Forgets what has not happened yet by a new clock. */
  forgetAfter (now: number): void {
    this.trips = this.trips.filter(({ at }) => at <= now)
    this.#heardUntil = -Infinity
    this.lost()
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
    this.bands = this.bands.filter(({ to }) => to === undefined || to > at - MAX_WINDOW_MS)
    this.delays = this.delays.filter((delay) => delay.at > at - MAX_WINDOW_MS)
    this.delays.push({ at, ms: max })
    for (const lane of this.lanes) {
      lane.forget(at)
      lane.heard(pings.filter(({ transport }) => transport === lane.transport))
    }
  }

  /** Another link, and perhaps another server with another clock. */
  restart (now: number): void {
    this.bands = this.bands.filter(({ from }) => from <= now)
    this.delays = this.delays.filter(({ at }) => at <= now)
    for (const lane of this.lanes) lane.forgetAfter(now)
    this.idle(now)
  }

  lessonStarted ({ kind, ms, at }: LessonStarted): void {
    if (this.bands.some(({ from }) => from === at)) return
    this.bands.push({ kind, ms, from: at, to: undefined })
    for (const lane of this.lanes) lane.restart(at)
  }

  lessonEnded ({ at, endedAt }: LessonResult): void {
    this.bands = this.bands.map((band) => band.from === at ? { ...band, to: endedAt } : band)
  }

  /** No lesson runs, whether or not its end was heard. */
  idle (now: number): void {
    this.bands = this.bands.map((band) => ({ ...band, to: band.to ?? now }))
  }

  expect (now: number): void {
    for (const lane of this.lanes) lane.expect(now)
  }

  lost (now: number): void {
    this.idle(now)
    for (const lane of this.lanes) lane.lost()
  }
}
