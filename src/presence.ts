/** Who is there beside the streams of TCP: while somebody is, these take less of each turn of the loop. */

/** Turns with streams, of 0.1 to 0.5 ms each, in which nobody else was served: then they are alone. */
const QUIET_TURNS = 50

export class Presence {
  #noted = 0
  #seen = 0
  #quietTurns = QUIET_TURNS

  /** Somebody who is no stream was served: a request, messages, a datagram, a few bytes of TCP. */
  note (): void {
    this.#noted++
  }

  /** A turn with streams is over. */
  onTurn (): void {
    this.#quietTurns = this.#noted === this.#seen ? this.#quietTurns + 1 : 0
    this.#seen = this.#noted
  }

  get isAnybody (): boolean {
    return this.#quietTurns < QUIET_TURNS
  }
}
