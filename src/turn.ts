/** Fairness: what one protocol may spend of a turn of the event loop before everybody else is served. */

/** What each protocol may spend of a turn before its other clients wait. */
export const SHARE_MS = 0.5

export interface Waiter {
  /** Returns the milliseconds that it has spent, or that it has only begun to spend. */
  onTurn (): number
}

/**
 * The loop serves whoever has sent something, one after the other, and then begins a new turn. Once a protocol's share of the turn
 * is spent, its other clients wait for the next, in the order in which they asked: a flood of one protocol delays all others by
 * about its share, and not by what it has sent.
 */
export class Turn {
  readonly #shareMs: number
  readonly #waiting: Waiter[] = []
  #spentMs = 0
  #isNextAsked = false

  constructor (shareMs: number) {
    this.#shareMs = shareMs
  }

  /** Whether whoever can wait has to. */
  get isOver (): boolean {
    return this.#spentMs >= this.#shareMs || this.#waiting.length > 0
  }

  /** Notes time that was spent in this turn. */
  spend (ms: number): void {
    this.#spentMs += ms
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

  readonly #next = (): void => {
    this.#isNextAsked = false
    this.#spentMs = 0
    while (this.#spentMs < this.#shareMs) {
      const waiter = this.#waiting.shift()
      if (!waiter) break
      this.#spentMs += waiter.onTurn()
    }
    if (this.#spentMs > 0) this.#askForNext()
  }
}
