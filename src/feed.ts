/** The feed: what happens on every protocol, told to whoever listens. Sizes only, never contents. */
import type { Transport } from './transport.ts'

export interface FeedEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly type: 'connect' | 'receive' | 'send' | 'half-close' | 'close' | 'refuse'
  readonly transport: Transport
  readonly service: string
  /** The connection's number, unique in this app; 0 for a datagram. An upgrade to WebSocket keeps it. */
  readonly connection: number
  /** `127.0.0.1:50000`, `[::1]:50000`. */
  readonly peer: string
  readonly bytes?: number
  /** Why: with `close` and `refuse`. */
  readonly reason?: string
}

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
