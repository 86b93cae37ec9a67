/**
 * One HTTP client's requests, one at a time and in their turn. Node.js's parser reads the client for itself as long as each read has
 * one small request; else it would parse all that has come at once, 64 KiB of requests in one go, so it is handed one after the other.
 */
import type { Socket } from 'node:net'
import type { Turn } from '../turn.ts'
import type { DirectClient, DirectClients } from './direct-clients.ts'
import { NOTHING, type HeadTaker, type ParserWatch, type Verdict, type WatchParser } from './http-parser.ts'
import { asStream } from './lazy-socket.ts'
import type { ReadInto } from './read-into.ts'
import { SliceReader } from './slice-reader.ts'

/** What is read at once, and the most that waits for its turn; where the parser has stopped, what it has read, once: 64 KiB. */
export const HTTP_READ_BYTES = 4096
/** Of a long head or of a body, until it is seen how long so much takes. */
const FIRST_SLICE_BYTES = 1024
/** Behind a request's headers (RFC 9112, section 2.1). Node.js takes no other. */
const HEAD_END = Buffer.from('\r\n\r\n')
/** `GET / HTTP/1.0`: nobody gets a piece for less. */
const MIN_HEAD_BYTES = 18
/** The parser took 0.04 ms for so many, of shortest headers. After more in one read no client's parser reads for itself, for a while. */
const MAX_PARSED_BYTES = 2048

/** Held in place of a request that was parsed already. */
const PARSED = Buffer.alloc(1)
/** Held in place of what is no request: the parser has yet to say so. */
const BROKEN = Buffer.alloc(1)

/** What all readers share. */
export interface HttpReading {
  readonly turn: Turn
  /** HTTP_READ_BYTES, where the bytes of clients arrive that the parser does not read for itself. */
  readonly memory: Buffer
  readonly direct: DirectClients
  readonly watchParser: WatchParser
  readonly readHttpInto: ReadInto
  readonly readInto: ReadInto
}

export class HttpReader extends SliceReader implements HeadTaker, DirectClient {
  rosterIndex = -1
  readonly #reading: HttpReading
  /** Of a parser that reads for itself, or did. */
  #watch: ParserWatch | undefined
  #isDirect = false
  /** Whether the read at hand had a head. */
  #hasHead = false
  #isLeft = false
  #isStopped = false
  #isResumeAwaited = false

  constructor (raw: Socket, reading: HttpReading) {
    super(raw, reading.turn, reading.memory, FIRST_SLICE_BYTES)
    this.#reading = reading
  }

  /** Where the parser can be neither watched nor handed anything, it goes on as Node.js has it. */
  start (): void {
    const { direct, watchParser, readHttpInto } = this.#reading
    if (direct.hasRoom) this.#watch = watchParser(this.raw, this)
    if (this.#watch) {
      this.#isDirect = true
      direct.add(this)
    } else readHttpInto(asStream(this.raw), this)
  }

  /** To be called when the socket is closed or given away. */
  end (): void {
    this.#reading.direct.delete(this)
    this.#watch?.end()
  }

  readForParser (): void {
    if (!this.#isDirect) return
    this.#isDirect = false
    this.#reading.direct.delete(this)
    if (!this.raw.destroyed) this.#reading.readHttpInto(asStream(this.raw), this)
  }

  onHead (): Verdict {
    this.turn.begin(performance.now())
    const isSecond = this.#hasHead || this.heldBytes > 0
    this.#hasHead = true
    // What comes after the last answer of this connection is held, and then not taken.
    if (!isSecond && !this.turn.isOver && !this.raw.writableEnded) return 'serve'
    this.hold(PARSED)
    this.arrange()
    return isSecond ? 'stop' : 'wait'
  }

  onParsed (bytes: number): void {
    // A part of a head might have a long one after it.
    if (!this.#hasHead) this.readForParser()
    this.#hasHead = false
    this.#noteParsed(bytes)
  }

  onStopped (bytes: number, rest: Buffer): void {
    this.#readOn(rest, bytes)
  }

  onBroken (bytes: number): void {
    this.#readOn(BROKEN, bytes)
  }

  /** From now on for the parser, after something that it has yet to be handed. */
  #readOn (first: Buffer, parsedBytes: number): void {
    if (first.length > 0) this.hold(first)
    this.readForParser()
    this.arrange()
    this.#noteParsed(parsedBytes)
  }

  #noteParsed (bytes: number): void {
    if (bytes > MAX_PARSED_BYTES) this.#reading.direct.close()
  }

  /**
   * To be called when Node.js gives the socket away: what comes from now on is kept.
   * @param head what the parser has not taken.
   */
  leave (head: Buffer): void {
    this.#isLeft = true
    if (this.#isDirect) this.#reading.readInto(asStream(this.raw), this)
    this.#isDirect = false
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
    if (this.raw.writableEnded) return
    if (piece === PARSED) this.#watch?.serveNext()
    else this.raw.emit('data', piece === BROKEN ? NOTHING : piece)
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
