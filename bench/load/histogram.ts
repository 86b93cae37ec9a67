/** Latencies, counted in buckets of which each doubling has 64: a percentile is told within 0.8 %. */

const SUB = 64
const SUB_BITS = 6
/** In tenths of a microsecond, which 32 bits hold up to 429 s of. */
const UNITS_PER_US = 10
const MOST = 2 ** 32 - 1

export class Histogram {
  readonly #counts = new Float64Array(SUB * (33 - SUB_BITS))
  #count = 0
  #highest = 0

  get count (): number { return this.#count }
  /** The largest value, in µs. */
  get max (): number { return this.#highest / UNITS_PER_US }

  /** Adds a latency in µs, `times` times. */
  add (us: number, times = 1): void {
    const value = Math.min(MOST, Math.round(us * UNITS_PER_US))
    const exponent = 31 - Math.clz32(value)
    const bucket = value < SUB ? value : (exponent - SUB_BITS + 1) * SUB + ((value >>> (exponent - SUB_BITS)) & (SUB - 1))
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + times
    this.#count += times
    if (value > this.#highest) this.#highest = value
  }

  /** The value in µs that `share` (0 to 1) of all values are not above; 0 where there are none. */
  percentile (share: number): number {
    const rank = Math.min(this.#count - 1, Math.floor(this.#count * share))
    let seen = 0
    for (const [bucket, count] of this.#counts.entries()) {
      seen += count
      if (count === 0 || seen <= rank) continue
      const width = bucket < SUB ? 1 : 2 ** (Math.floor(bucket / SUB) - 1)
      const middle = bucket < SUB ? bucket : (SUB + bucket % SUB) * width + width / 2
      return Math.min(middle, this.#highest) / UNITS_PER_US
    }
    return 0
  }

  clear (): void {
    this.#counts.fill(0)
    this.#count = this.#highest = 0
  }
}
