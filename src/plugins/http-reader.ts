/** Hands Node.js's HTTP parser one request at a time: it would parse all that has come at once, 64 KiB of requests in one go. */
import type { Socket } from 'node:net'
import type { Turn } from '../turn.ts'
import type { ReadInto } from './read-into.ts'
import { SliceReader } from './slice-reader.ts'

/** What is read at once, and the most that waits for its turn. */
export const HTTP_READ_BYTES = 4096
/** Of a long head or of a body, until it is seen how long so much takes. */
const FIRST_SLICE_BYTES = 1024
/** Behind a request's headers (RFC 9112, section 2.1). Node.js takes no other. */
const HEAD_END = Buffer.from('\r\n\r\n')
/** `GET / HTTP/1.0`: nobody gets a piece for less. */
const MIN_HEAD_BYTES = 18

export class HttpReader extends SliceReader {
  #isLeft = false
  #isStopped = false
  #isResumeAwaited = false

  /** @param memory HTTP_READ_BYTES, where the bytes of all clients arrive. */
  constructor (raw: Socket, turn: Turn, memory: Buffer) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
  }

  /** @param readHttpInto reads sockets of an HTTP server. Where it cannot, the parser goes on reading for itself. */
  start (readHttpInto: ReadInto): void {
    readHttpInto(this.raw, this)
  }

  /**
   * To be called when Node.js gives the socket away: what comes from now on is kept.
   * @param head what the parser has not taken.
   */
  leave (head: Buffer): void {
    this.#isLeft = true
    const rest = this.letGo()
    for (const chunk of [Buffer.from(head), rest]) if (chunk.length > 0) this.hold(chunk)
  }

  /** What has come since it was left. */
  takeOver (): Buffer {
    return this.letGo()
  }

  override nextBuffer (): Buffer {
    const memory = super.nextBuffer()
    // Node.js may read on whatever we say, for a request's body: then it is a byte at a time.
    return this.heldBytes === 0 ? memory : memory.subarray(0, Math.max(1, HTTP_READ_BYTES - this.heldBytes))
  }

  override onRead (bytes: number, buffer: Buffer): boolean {
    this.turn.begin(performance.now())
    const chunk = buffer.subarray(0, bytes)
    // The parser copies what it keeps.
    if (this.isNext && this.pieceBytes(chunk, this.sliceBytes) === bytes) {
      this.take(chunk)
      return true
    }
    super.onRead(bytes, buffer)
    this.#isStopped = this.heldBytes >= HTTP_READ_BYTES
    return !this.#isStopped
  }

  protected get isTaking (): boolean {
    return !this.#isLeft && !this.raw.isPaused()
  }

  /**
   * As far as the end of a request's headers: 36 requests for the page, in one piece, held the loop for 5 to 40 ms. With what was
   * left of one before, it is two requests at most.
   */
  protected override pieceBytes (chunk: Buffer, most: number): number {
    const at = chunk.indexOf(HEAD_END, MIN_HEAD_BYTES - HEAD_END.length)
    return super.pieceBytes(chunk, at < 0 ? most : Math.min(most, at + HEAD_END.length))
  }

  /** The turn counts what a request has set off, once that is done; a slice would not. */
  protected override get isSliceOnePiece (): boolean {
    return true
  }

  protected take (piece: Buffer): void {
    // Not what comes after the last answer of this connection.
    if (!this.raw.writableEnded) this.raw.emit('data', piece)
  }

  protected override arrange (): void {
    super.arrange()
    if (this.#isLeft) return
    const { raw } = this
    if (raw.isPaused()) {
      // By Node.js, until the client has taken its answers or a route a body. Its parser must not be given anything then.
      if (!this.isUnfinished || this.#isResumeAwaited) return
      this.#isResumeAwaited = true
      raw.once('resume', () => {
        this.#isResumeAwaited = false
        this.arrange()
      })
    } else if (this.#isStopped && this.heldBytes < HTTP_READ_BYTES) {
      this.#isStopped = false
      raw.resume()
    }
  }
}
