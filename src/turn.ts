/** Fairness: what one protocol may spend of a turn of the event loop before everybody else is served. */

/**
 * The loop serves whoever has sent something, one after the other, and then begins a new turn. Once a protocol's share of the turn
 * is spent, its other clients wait for the next, in the order in which they asked: a flood of one protocol delays all others by
 * about its share, and not by what it has sent.
 */
export class Turn {
  readonly #shareMs: number
  readonly #waiting: (() => number)[] = []
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

  /**
   * Runs `go` in the next turn that has time for it.
   * @param go returns the milliseconds that it has spent, or that it has only begun to spend.
   */
  wait (go: () => number): void {
    this.#waiting.push(go)
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
      const go = this.#waiting.shift()
      if (!go) break
      this.#spentMs += go()
    }
    if (this.#spentMs > 0) this.#askForNext()
  }
}
