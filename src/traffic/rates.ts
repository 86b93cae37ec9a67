/** Rate limits: a token bucket, and a table of bounded size with a bucket for each key. */
import type { RateSetting } from '../config/config.ts'

/** Holds up to `burst` tokens, and gets `perSecond` new ones a second. Times are from `performance.now()`. */
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

  /** Takes one token; false if there is none. */
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
  /** In order of use, least recent first. */
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

  /** Takes one token of the key; false if it has none. A forgotten key begins with a full burst again. */
  take (key: string, now = performance.now()): boolean {
    // The last key is already the most recently used.
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
