/** Fairness: what one protocol may spend of a turn of the event loop before everybody else is served. */

/**
 * What a protocol may spend of a turn before its other clients wait, or a multiple of it. Under a flood of WebSocket others' p50 is 0.36 ms
 * with it, and was 0.68 with a larger one.
 */
export const SHARE_MS = 0.25
/**
 * What a protocol may spend where there is nobody else, and sharing is all cost: what waits has to be copied, and a datagram's socket
 * to be stopped. With 0.25 to 0.5 ms a request or a WebSocket message cost a tenth to a quarter more. Whoever comes waits for so long,
 * once.
 */
export const ALONE_MS = 2
/** So many turns of a protocol, of 0.1 ms to 2 ms each, in which nobody else is served: it is alone. */
const QUIET_TURNS = 50

/**
 * So many answers are sent together at most. On 2 × AMD EPYC, beside answers sent one by one, HTTP requests of 64 clients cost 0.86 with 8,
 * 0.77 with 16 and 0.7 with 32.
 */
export const MAX_HELD = 32

/** How much was served by anybody. */
export class Presence {
  served = 0
}

export interface Waiter {
  /** May return the milliseconds that it will take later in this turn, beside what it takes now. */
  onTurn (): number | void
}

/** An answer that is ready. */
export interface Answer { send (): void }

/**
 * The loop serves whoever has sent something, one after the other, and then begins a new turn. Once a protocol's share of the turn
 * is spent, its other clients wait for the next, in the order in which they asked: a flood of one protocol delays all others by
 * about its share, and not by what it has sent.
 */
export class Turn {
  readonly #shareMs: number
  readonly #aloneMs: number
  readonly #presence: Presence
  readonly #waiting: Waiter[] = []
  /** Of all that was served, what was this protocol's, and what was not. */
  #ownServed = 0
  #othersServed = 0
  /** What was this protocol's when this turn began, and whether it served more than one in the turn before it. */
  #ownServedBefore = 0
  #hadMany = false
  readonly #held: Answer[] = []
  /** Turns of this protocol in which nobody else was served. */
  #quietTurns = QUIET_TURNS
  #spentMs = 0
  #isNextAsked = false
  /** When something was first begun in this turn, less what was spent before that. */
  #firstAt: number | undefined
  /** When the waiters of this turn were called, and what they will take later in it. */
  #calledAt = 0
  #announcedMs = 0

  /**
   * @param shareMs what it may spend beside other protocols.
   * @param options.aloneMs what it may spend where there is nobody else.
   * @param options.presence the same for all protocols.
   */
  constructor (shareMs: number, { aloneMs = shareMs, presence = new Presence() } = {}) {
    this.#shareMs = shareMs
    this.#aloneMs = aloneMs
    this.#presence = presence
  }

  /** Whether nobody else was served of late. */
  get isAlone (): boolean {
    return this.#quietTurns >= QUIET_TURNS
  }

  get #limitMs (): number {
    return this.isAlone ? this.#aloneMs : this.#shareMs
  }

  /** Whether whoever can wait has to. */
  get isOver (): boolean {
    return this.#spentMs >= this.#limitMs || this.#waiting.length > 0
  }

  /** Notes time that was spent in this turn. */
  spend (ms: number): void {
    this.#noteOwn()
    this.#spentMs += ms
    this.#askForNext()
  }

  /**
   * As `spend`, and in its place, where each of many takes little: of all that has passed in this turn since the first such call.
   * What the others before this one have set off counts, too, and so does what other protocols did then.
   */
  begin (now: number): void {
    this.#noteOwn()
    this.#firstAt ??= now - this.#spentMs
    this.#spentMs = now - this.#firstAt
    this.#askForNext()
  }

  /** Calls `waiter.onTurn` in the next turn that has time for it. */
  wait (waiter: Waiter): void {
    this.#waiting.push(waiter)
    this.#askForNext()
  }

  /**
   * Sends an answer, or does so at the end of this turn, after all that is held already: to send each between two reads wakes its client
   * up for it, the two chase each other, and an answer costs a tenth to two fifths more. One that is held waits for the other pieces of this
   * turn, until what may be spent alone is spent. Beside other protocols none is held, as it would wait for what they do, too; nor where
   * they come one at a time: it would be there 4 µs later for nothing.
   */
  answer (answer: Answer): void {
    if (!this.isAlone || !(this.#hasMany || this.#hadMany)) return answer.send()
    this.#held.push(answer)
    if (this.#held.length >= MAX_HELD) this.sendHeld()
    else this.#askForNext()
  }

  get #hasMany (): boolean {
    return this.#ownServed - this.#ownServedBefore > 1
  }

  /** Sends what is held. */
  sendHeld (): void {
    for (let answer = this.#held.shift(); answer; answer = this.#held.shift()) answer.send()
  }

  #askForNext (): void {
    if (this.#isNextAsked) return
    this.#isNextAsked = true
    // After all reads of this turn.
    setImmediate(this.#next)
  }

  #noteOwn (): void {
    this.#presence.served++
    this.#ownServed++
  }

  #lookForOthers (): void {
    const others = this.#presence.served - this.#ownServed
    this.#quietTurns = others === this.#othersServed ? this.#quietTurns + 1 : 0
    this.#othersServed = others
    this.#hadMany = this.#hasMany
    this.#ownServedBefore = this.#ownServed
  }

  readonly #next = (): void => {
    this.#isNextAsked = false
    this.sendHeld()
    this.#lookForOthers()
    this.#spentMs = 0
    this.#firstAt = undefined
    if (this.#waiting.length === 0) return
    this.#calledAt = performance.now()
    this.#announcedMs = 0
    this.#callFirst()
  }

  #callFirst (): void {
    const waiter = this.#waiting.shift()
    this.#noteOwn()
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
    if (this.#waiting.length > 0 && this.#spentMs < this.#limitMs) return this.#callFirst()
    this.sendHeld()
    this.#askForNext()
  }
}
