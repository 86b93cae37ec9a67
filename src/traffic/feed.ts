/** The feed: tells its listeners the events of every protocol. Sizes only, never contents. */
import type { FeedEvent } from '../shared/messages.ts'

export type FeedListener = (event: FeedEvent) => void

export class Feed {
  readonly #listeners = new Set<FeedListener>()
  /** Events not sent to viewers since the start. */
  dropped = 0
  readonly #onError: (error: unknown) => void

  /** @param onError called with the error of a listener that threw; that listener is removed. */
  constructor (onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** False while nobody listens: callers then need not create the event. */
  get isWatched (): boolean {
    return this.#listeners.size > 0
  }

  /** Calls every listener at once, in the order of subscription. Never throws. */
  publish (event: FeedEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event)
      } catch (error) {
        this.#listeners.delete(listener)
        this.#onError(error)
      }
    }
  }

  /** Returns the function that ends the subscription. */
  subscribe (listener: FeedListener): () => void {
    this.#listeners.add(listener)
    return () => { this.#listeners.delete(listener) }
  }
}
