/** The memory that large WebSocket messages are put together in, and used again. */
import { MAX_HEAD_BYTES } from './frame-borders.ts'

/** For payloads of 16, 64 and 256 KiB and 1 MiB, and the largest head of a frame. */
const SIZES = [16, 64, 256, 1024].map((kib) => kib * 1024 + MAX_HEAD_BYTES)
/** Of messages that have not come whole: further ones are handed on as they come. */
export const MAX_UNFINISHED_BYTES = 8_388_608
/** Kept for the next ones. */
const MAX_FREE_BYTES = 8_388_608

/**
 * Without it a message of 64 KiB is memory outside of V8's heap, twice: what was read, and what ws puts together. V8 collects the
 * whole heap for that, some twenty times a second: an echo of 64 KiB cost five times what a bare ws takes for it, and now 0.6 times.
 */
export class FrameMemory {
  readonly #free = new Map(SIZES.map((size) => [size, [] as ArrayBufferLike[]]))
  #freeBytes = 0
  #unfinishedBytes = 0

  /** Memory for a frame that has begun to come; undefined where too much has not come whole. */
  begin (bytes: number): Buffer | undefined {
    const size = SIZES.find((size) => size >= bytes) ?? Infinity
    if (this.#unfinishedBytes + size > MAX_UNFINISHED_BYTES) return
    this.#unfinishedBytes += size
    const memory = this.#free.get(size)?.pop()
    if (memory) this.#freeBytes -= size
    return Buffer.from(memory ?? Buffer.allocUnsafeSlow(size).buffer, 0, bytes)
  }

  /** To be called once for each that was begun: it is whole, or never will be. */
  finish (frame: Buffer): void {
    this.#unfinishedBytes -= frame.buffer.byteLength
  }

  /** To be called when nobody has a part of it any more; otherwise it is left to V8. */
  giveBack ({ buffer }: Buffer): void {
    if (this.#freeBytes + buffer.byteLength > MAX_FREE_BYTES) return
    this.#freeBytes += buffer.byteLength
    this.#free.get(buffer.byteLength)?.push(buffer)
  }

  /** Keeps nothing for the next ones. */
  clear (): void {
    for (const pieces of this.#free.values()) pieces.length = 0
    this.#freeBytes = 0
  }
}
