/** The memory that WebSocket messages are put together in; that of large ones is used again. */
import { MAX_HEAD_BYTES } from './frame-head.ts'

/** For payloads of 8 KiB to 1 MiB, and the largest head of a frame. */
const SIZES = [8, 16, 32, 64, 128, 256, 512, 1024].map((kib) => kib * 1024 + MAX_HEAD_BYTES)
/** Memory for a shorter frame is made for it, and not used again. */
export const MIN_KEPT_BYTES = 4096
/**
 * Of messages that have not come whole: further ones are handed on as they come. ws would hold as much for them, and once more as it puts
 * them together: of 16 clients with two messages of 1 MiB each, 8 MiB made one in a hundred of the others' round trips take 19 ms, and
 * this 4 to 6.
 */
export const MAX_UNFINISHED_BYTES = 33_554_432
/** Kept for the next ones. */
const MAX_FREE_BYTES = 33_554_432

/** What is kept of one size. */
interface Shelf {
  readonly size: number
  readonly pieces: ArrayBufferLike[]
  /** How many were left when most were in use, since the last `trim`. */
  least: number
}

/**
 * Without it a message of 64 KiB is memory outside of V8's heap, twice: what was read, and what ws puts together. V8 collects the
 * whole heap for that, some twenty times a second: an echo of 64 KiB cost five times what a bare ws takes for it, and now as much as that at most.
 */
export class FrameMemory {
  readonly #shelves = new Map<number, Shelf>(SIZES.map((size) => [size, { size, pieces: [], least: 0 }]))
  #freeBytes = 0
  #unfinishedBytes = 0

  /** Memory for a frame that has begun to come; undefined where too much has not come whole. */
  begin (bytes: number): Buffer | undefined {
    const size = bytes < MIN_KEPT_BYTES ? bytes : SIZES.find((size) => size >= bytes) ?? Infinity
    if (this.#unfinishedBytes + size > MAX_UNFINISHED_BYTES) return
    this.#unfinishedBytes += size
    const shelf = this.#shelves.get(size)
    const memory = shelf?.pieces.pop()
    if (memory) this.#freeBytes -= size
    if (shelf) shelf.least = Math.min(shelf.least, shelf.pieces.length)
    return Buffer.from(memory ?? Buffer.allocUnsafeSlow(size).buffer, 0, bytes)
  }

  /** Whether messages had better come to their end before others begin. */
  get isScarce (): boolean {
    return this.#unfinishedBytes > MAX_UNFINISHED_BYTES / 2
  }

  /** To be called once for each that was begun: it is whole, or never will be. */
  finish (frame: Buffer): void {
    this.#unfinishedBytes -= frame.buffer.byteLength
  }

  /** To be called when nobody has a part of it any more; otherwise it is left to V8. */
  giveBack ({ buffer }: Buffer): void {
    const size = buffer.byteLength
    const shelf = this.#shelves.get(size)
    if (!shelf) return
    // What is used now goes before what was used once.
    for (const other of this.#shelves.values()) {
      const surplus = this.#freeBytes + size - MAX_FREE_BYTES
      if (surplus <= 0) break
      if (other !== shelf) this.#drop(other, Math.min(other.pieces.length, Math.ceil(surplus / other.size)))
    }
    if (this.#freeBytes + size > MAX_FREE_BYTES) return
    this.#freeBytes += size
    shelf.pieces.push(buffer)
  }

  /** To be called now and then: keeps no more than was in use at once since the last time. */
  trim (): void {
    for (const shelf of this.#shelves.values()) {
      this.#drop(shelf, shelf.least)
      shelf.least = shelf.pieces.length
    }
  }

  /** Keeps nothing for the next ones. */
  clear (): void {
    for (const shelf of this.#shelves.values()) this.#drop(shelf, shelf.pieces.length)
  }

  #drop (shelf: Shelf, count: number): void {
    shelf.pieces.length -= count
    shelf.least = Math.min(shelf.least, shelf.pieces.length)
    this.#freeBytes -= count * shelf.size
  }
}
