/** Limits of so many a second: token buckets, one, or one a key in a table of bounded size. */
import type { RateSetting } from '../config/config.ts'

/** Holds `burst` tokens, and gets `perSecond` new ones a second. Times are those of `performance.now()`. */
export class Bucket {
  readonly #perMs: number
  readonly #burst: number
  #tokens: number
  #at: number

  constructor ({ perSecond, burst }: RateSetting, now: number) {
    this.#perMs = perSecond / 1000
    this.#burst = burst
    this.#tokens = burst
    this.#at = now
  }

  /** Takes one token; false where there is none. */
  take (now: number): boolean {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs)
    this.#at = now
    if (this.#tokens < 1) return false
    this.#tokens--
    return true
  }
}

export class Rates {
  readonly #setting: RateSetting
  readonly #maxKeys: number
  /** The least recently used first. */
  readonly #buckets = new Map<string, Bucket>()
  #lastKey: string | undefined
  #lastBucket: Bucket | undefined

  constructor (setting: RateSetting, maxKeys: number) {
    this.#setting = setting
    this.#maxKeys = maxKeys
  }

  get size (): number {
    return this.#buckets.size
  }

  /** Takes one of the key's tokens; false where it has none. A key that was forgotten begins with a full burst again. */
  take (key: string, now = performance.now()): boolean {
    // A busy key is the most recently used already.
    if (key === this.#lastKey && this.#lastBucket) return this.#lastBucket.take(now)
    let bucket = this.#buckets.get(key)
    if (bucket) this.#buckets.delete(key)
    else {
      bucket = new Bucket(this.#setting, now)
      const [oldest] = this.#buckets.size >= this.#maxKeys ? this.#buckets.keys() : []
      if (oldest !== undefined) this.#buckets.delete(oldest)
    }
    this.#buckets.set(key, bucket)
    this.#lastKey = key
    this.#lastBucket = bucket
    return bucket.take(now)
  }
}
