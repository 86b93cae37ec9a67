/** Fairness: what one protocol may spend of a turn of the event loop before everybody else is served. */

import { Presence } from './presence.ts'

/** What each protocol may spend of a turn before its other clients wait. */
export const SHARE_MS = 0.25

export interface Waiter {
  /** May return the milliseconds that it will take later in this turn, beside what it takes now. */
  onTurn (): number | void
}

/**
 * The loop serves whoever has sent something, one after the other, and then begins a new turn. Once a protocol's share of the turn
 * is spent, its other clients wait for the next, in the order in which they asked: a flood of one protocol delays all others by
 * about its share, and not by what it has sent.
 */
export class Turn {
  protected readonly presence: Presence
  readonly #shareMs: number
  readonly #waiting: Waiter[] = []
  #spentMs = 0
  #isNextAsked = false
  /** When something was first begun in this turn, less what was spent before that. */
  #firstAt: number | undefined
  /** When the waiters of this turn were called, and what they will take later in it. */
  #calledAt = 0
  #announcedMs = 0

  constructor (shareMs: number, presence = new Presence()) {
    this.#shareMs = shareMs
    this.presence = presence
  }

  protected get shareMs (): number {
    return this.#shareMs
  }

  /** Whether whoever can wait has to. */
  get isOver (): boolean {
    return this.#spentMs >= this.shareMs || this.#waiting.length > 0
  }

  /** Notes time that was spent in this turn. */
  spend (ms: number): void {
    this.#spentMs += ms
    this.#askForNext()
  }

  /**
   * As `spend`, and in its place, where each of many takes little: of all that has passed in this turn since the first such call.
   * What the others before this one have set off counts, too, and so does what other protocols did then.
   */
  begin (now: number): void {
    this.presence.note()
    this.#firstAt ??= now - this.#spentMs
    this.#spentMs = now - this.#firstAt
    this.#askForNext()
  }

  /** Calls `waiter.onTurn` in the next turn that has time for it. */
  wait (waiter: Waiter): void {
    this.#waiting.push(waiter)
    this.#askForNext()
  }

  #askForNext (): void {
    if (this.#isNextAsked) return
    this.#isNextAsked = true
    // After all reads of this turn.
    setImmediate(this.#next)
  }

  /** To be overridden: a turn is over. */
  protected onOver (): void {}

  readonly #next = (): void => {
    this.#isNextAsked = false
    this.onOver()
    this.#spentMs = 0
    this.#firstAt = undefined
    if (this.#waiting.length === 0) return
    this.#calledAt = performance.now()
    this.#announcedMs = 0
    this.#callFirst()
  }

  #callFirst (): void {
    const waiter = this.#waiting.shift()
    try {
      this.#announcedMs += waiter?.onTurn() ?? 0
    } finally {
      // The next one when what this one has set off is done, ticks and promises: half of what a request costs comes after it was taken.
      queueMicrotask(this.#afterPromises)
    }
  }

  readonly #afterPromises = (): void => { process.nextTick(this.#goOn) }

  readonly #goOn = (): void => {
    this.#spentMs = performance.now() - this.#calledAt + this.#announcedMs
    if (this.#waiting.length > 0 && this.#spentMs < this.shareMs) this.#callFirst()
    else this.#askForNext()
  }
}

/**
 * The turns of TCP's streams. While anybody else is there, one of them is read in each, and not for as long as a share lasts: a flood
 * of streams makes the others wait for 0.12 ms instead of 0.55, and is half as fast.
 */
export class StreamTurn extends Turn {
  protected override get shareMs (): number {
    return this.isGivingWay ? 0 : super.shareMs
  }

  get isGivingWay (): boolean {
    return this.presence.isAnybody
  }

  /** To be called when somebody was served who is no stream. */
  noteOther (): void {
    this.presence.note()
  }

  protected override onOver (): void {
    this.presence.onTurn()
  }
}
