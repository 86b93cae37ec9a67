/** Holds `burst` tokens, and gets `perSecond` new ones a second. Times are those of `performance.now()`. */
export class Bucket {
    #perMs;
    #burst;
    #tokens;
    #at;
    constructor({ perSecond, burst }, now) {
        this.#perMs = perSecond / 1000;
        this.#burst = burst;
        this.#tokens = burst;
        this.#at = now;
    }
    /** Takes one token; false where there is none. */
    take(now) {
        this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#perMs);
        this.#at = now;
        if (this.#tokens < 1)
            return false;
        this.#tokens--;
        return true;
    }
}
export class Rates {
    #setting;
    #maxKeys;
    /** The least recently used first. */
    #buckets = new Map();
    #lastKey;
    #lastBucket;
    constructor(setting, maxKeys) {
        this.#setting = setting;
        this.#maxKeys = maxKeys;
    }
    get size() {
        return this.#buckets.size;
    }
    /** Takes one of the key's tokens; false where it has none. A key that was forgotten begins with a full burst again. */
    take(key, now = performance.now()) {
        // A busy key is the most recently used already.
        if (key === this.#lastKey && this.#lastBucket)
            return this.#lastBucket.take(now);
        let bucket = this.#buckets.get(key);
        if (bucket)
            this.#buckets.delete(key);
        else {
            bucket = new Bucket(this.#setting, now);
            const [oldest] = this.#buckets.size >= this.#maxKeys ? this.#buckets.keys() : [];
            if (oldest !== undefined)
                this.#buckets.delete(oldest);
        }
        this.#buckets.set(key, bucket);
        this.#lastKey = key;
        this.#lastBucket = bucket;
        return bucket.take(now);
    }
}
