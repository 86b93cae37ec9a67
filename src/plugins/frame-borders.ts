/** Where the frames of a WebSocket client begin and end (RFC 6455, section 5.2): ws takes them as they come and tells nobody. */

/** Of a client's frame before its mask: two bytes and the longest length. */
const MAX_BEFORE_MASK = 10
const MASK_BYTES = 4
export const MAX_HEAD_BYTES = MAX_BEFORE_MASK + MASK_BYTES
/** The first byte of a frame that is a whole message. */
export const FIN_TEXT = 0x81
export const FIN_BINARY = 0x82
const RSV = 0x70
const MASKED = 0x80

/** A frame of less is not worth stopping at. */
const MIN_LARGE_BYTES = 4096
/** A payload of 1 MiB. */
const MAX_LARGE_BYTES = MAX_HEAD_BYTES + 1_048_576

export class FrameBorders {
  /** The size of the large frame that `walk` has stopped at. */
  largeBytes = 0
  readonly #maxLargeBytes: number
  /** Bytes until the next frame. */
  #left = 0
  /** The beginning of a frame whose size is not known yet. */
  #head: Buffer | undefined

  /** @param maxMessageBytes a larger message is refused at its head, and must not be waited for. */
  constructor (maxMessageBytes: number) {
    this.#maxLargeBytes = Math.min(MAX_LARGE_BYTES, maxMessageBytes)
  }

  /**
   * Walks over what has come, as far as a large frame that is a whole message.
   * @returns where that begins, or the chunk's length. The next walk begins behind that frame, unless it is let `pass`.
   */
  walk (chunk: Buffer, from: number): number {
    let at = from
    while (at < chunk.length) {
      if (this.#left > 0) {
        const bytes = Math.min(this.#left, chunk.length - at)
        this.#left -= bytes
        at += bytes
      } else if (this.#head) {
        this.#walkSplitHead(this.#head, chunk, at)
        if (this.#head) return chunk.length
      } else {
        const size = sizeAt(chunk, at)
        if (size === 0) {
          this.#head = Buffer.from(chunk.subarray(at))
          return chunk.length
        }
        if (this.#isLarge(chunk.readUInt8(at), size)) {
          this.largeBytes = size
          return at
        }
        this.#left = size
      }
    }
    return at
  }

  /** Walks over the frame that it has stopped at as well. */
  pass (): void {
    this.#left = this.largeBytes
  }

  #walkSplitHead (before: Buffer, chunk: Buffer, at: number): void {
    const head = Buffer.concat([before, chunk.subarray(at, at + MAX_BEFORE_MASK)])
    const size = sizeAt(head, 0)
    this.#head = size === 0 ? head : undefined
    this.#left = size === 0 ? 0 : size - before.length
  }

  #isLarge (first: number, size: number): boolean {
    return size >= MIN_LARGE_BYTES && size <= this.#maxLargeBytes && (first === FIN_TEXT || first === FIN_BINARY)
  }
}

/** The size of the frame that begins there, in bytes; 0 if that is not known yet, Infinity for what is none: ws ends the connection for it. */
function sizeAt (bytes: Buffer, at: number): number {
  const there = bytes.length - at
  if (there < 2) return 0
  const second = bytes.readUInt8(at + 1)
  if ((bytes.readUInt8(at) & RSV) !== 0 || (second & MASKED) === 0) return Infinity
  const length = second & ~MASKED
  if (length < 126) return 2 + MASK_BYTES + length
  if (length === 126) return there < 4 ? 0 : 4 + MASK_BYTES + bytes.readUInt16BE(at + 2)
  return there < MAX_BEFORE_MASK ? 0 : MAX_HEAD_BYTES + Number(bytes.readBigUInt64BE(at + 2))
}
