/** The server's clock, as far as this browser knows it: all that is drawn has the server's times. */

/** Added with each message, so that a clock that drifts is followed. */
const DRIFT_MS = 0.2
/** More than any stall delays a message: the server's clock was set, or this is another server. */
const JUMP_MS = 4000

export class ServerClock {
  /** This browser's monotonic clock less the server's; undefined until the server has spoken. */
  #ahead: number | undefined

  /** Another link, and perhaps another server. */
  restart (): void {
    this.#ahead = undefined
  }

  /** The message that was under way for the shortest time tells best. @param at the server's clock when it spoke. */
  heard (at: number): void {
    const ahead = performance.now() - at
    const isKnown = this.#ahead !== undefined && Math.abs(ahead - this.#ahead) < JUMP_MS
    this.#ahead = isKnown ? Math.min(ahead, (this.#ahead ?? ahead) + DRIFT_MS) : ahead
  }

  /** Milliseconds since the epoch; undefined while nobody knows. */
  get now (): number | undefined {
    return this.#ahead === undefined ? undefined : performance.now() - this.#ahead
  }
}
