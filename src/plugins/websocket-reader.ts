/** Hands ws what a client sent, in slices, and has the answers to each slice sent together. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn } from '../turn.ts'
import type { AnswerBatch } from './answer-batch.ts'
import type { FrameMemory } from './frame-memory.ts'
import { LargeFrames } from './large-frames.ts'
import type { ReadInto } from './read-into.ts'
import { SliceReader } from './slice-reader.ts'

const FIRST_SLICE_BYTES = 4096
/** Of a client, bytes that wait for their turn; with more it is not read. */
const MAX_HELD_BYTES = 16_384
/** Answers that wait for the others of their slice. */
const MAX_CORKED_BYTES = 65_536

/** What all readers share. */
export interface WebSocketReading {
  readonly turn: Turn
  /** Where the bytes of all clients arrive. */
  readonly memory: Buffer
  readonly frames: FrameMemory
  readonly batch: AnswerBatch
  readonly maxMessageBytes: number
}

export class WebSocketReader extends SliceReader {
  /** Whether the service is done with a message when it returns, but for what it has sent to this client. */
  isBorrowing = false
  readonly large: LargeFrames
  readonly #socket: WebSocket
  readonly #batch: AnswerBatch
  #isStopped = false

  constructor (socket: WebSocket, raw: Socket, { turn, memory, frames, batch, maxMessageBytes }: WebSocketReading) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
    this.#socket = socket
    this.#batch = batch
    batch.watch(raw)
    this.large = new LargeFrames(frames, maxMessageBytes)
  }

  /** @param early what came before it was a WebSocket. */
  start (readInto: ReadInto, early: Buffer): void {
    const { raw } = this
    const unread = raw.read() as Buffer | null
    if (!readInto(raw, this)) {
      for (const chunk of [unread, early]) if (chunk) raw.unshift(chunk)
      raw.prependListener('data', () => this.#onPlainData())
      return
    }
    for (const chunk of [early, unread]) if (chunk && chunk.length > 0) this.keep(chunk)
    this.arrange()
    // It may have been stopped as it was left behind by HTTP.
    if (!this.#socket.isPaused) raw.resume()
  }

  /** Whether something has come that will be handed on soon. */
  get isHolding (): boolean {
    return this.heldBytes > 0 && !this.#isStopped
  }

  get isStopped (): boolean {
    return this.#isStopped
  }

  /** Nothing more is handed on, and what came is kept unread, until `go`. */
  stop (): void {
    this.#isStopped = true
    this.arrange()
  }

  go (): void {
    this.#isStopped = false
    this.arrange()
  }

  /** Sends an answer together with the others to its slice; false where ws has to, and `flushLarge` is to follow. */
  answer (message: Uint8Array | string, bytes: number, isBinary: boolean): boolean {
    if (this.#batch.isFull) this.#flush()
    return this.#batch.add(this.raw, message, bytes, isBinary)
  }

  /** To be called with each answer that ws sends: those to a slice go out with one system call, unless they are large. */
  flushLarge (): void {
    if (this.raw.writableLength >= MAX_CORKED_BYTES) this.#flush()
  }

  /** Ends the connection at once. What was answered is on its way then. */
  destroy (): void {
    this.#flush()
    this.#socket.terminate()
  }

  #flush (): void {
    if (this.raw.writableCorked === 0) return
    this.#batch.flush(this.raw)
    this.raw.uncork()
    this.#batch.next(this.raw)
    this.raw.cork()
  }

  protected get isTaking (): boolean {
    return !this.#isStopped
  }

  protected override keep (chunk: Buffer): void {
    this.large.sort(chunk, this)
  }

  protected override pieceBytes (chunk: Buffer, most: number): number {
    return this.large.isNext(chunk) ? chunk.length : super.pieceBytes(chunk, most)
  }

  protected override beginSlice (): void {
    this.#batch.begin(this.raw)
    this.raw.cork()
  }

  /** To ws, as long as it listens: not after a close frame, nor after a broken one. */
  protected take (piece: Buffer): void {
    this.raw.emit('data', piece)
    this.large.onTaken(piece)
  }

  protected override endSlice (): void {
    this.#batch.flush(this.raw)
    this.raw.uncork()
    this.#batch.end(this.raw)
    // What is not sent yet is still read from it.
    this.large.giveBackTold(this.isBorrowing && this.raw.writableLength === 0)
  }

  protected override arrange (): void {
    super.arrange()
    // By way of ws, which would else read on when it likes; and it does, after a close frame and after an error.
    if (this.#isStopped || this.heldBytes >= MAX_HELD_BYTES) {
      if (!this.#socket.isPaused || !this.raw.isPaused()) this.#socket.pause()
    } else if (this.#socket.isPaused) {
      this.#socket.resume()
      // ws waits for its receiver to take more, which one that has failed never does.
      this.raw.resume()
    }
  }

  #onPlainData (): void {
    this.now = performance.now()
    this.raw.cork()
    process.nextTick(() => this.raw.uncork())
  }
}
