/** The feed: what happens on every protocol, told to whoever listens. Sizes only, never contents. */
import type { FeedEvent } from '../shared/messages.ts'

export type FeedListener = (event: FeedEvent) => void

export class Feed {
  readonly #listeners = new Set<FeedListener>()
  /** Events that viewers of the feed were not told of, since the start. */
  dropped = 0
  readonly #onError: (error: unknown) => void

  /** @param onError told about a listener that threw; that listener hears no more. */
  constructor (onError: (error: unknown) => void) {
    this.#onError = onError
  }

  /** False while nobody listens: callers then need not even make the event. */
  get isWatched (): boolean {
    return this.#listeners.size > 0
  }

  /** Tells every listener now, in the order they came. Never throws. */
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
