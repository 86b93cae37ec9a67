/** Hands ws what a client sent, in slices, and has the answers to each slice sent together. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn } from '../turn.ts'
import type { FrameMemory } from './frame-memory.ts'
import { FrameBorders } from './frame-borders.ts'
import type { ReadInto } from './read-into.ts'
import { SliceReader } from './slice-reader.ts'

const FIRST_SLICE_BYTES = 4096
/** Of a client, bytes that wait for their turn; with more it is not read. */
const MAX_HELD_BYTES = 16_384
/** Answers that wait for the others of their slice. */
const MAX_BATCH_BYTES = 65_536

/** What all readers share. */
export interface WebSocketReading {
  readonly turn: Turn
  /** Where the bytes of all clients arrive. */
  readonly memory: Buffer
  readonly frames: FrameMemory
  readonly maxMessageBytes: number
}

const NONE: Buffer[] = []

export class WebSocketReader extends SliceReader {
  /** Whether nobody keeps a message longer than the call, but for what waits to be sent to this client. */
  isBorrowed = false
  readonly #socket: WebSocket
  readonly #frames: FrameMemory
  readonly #borders: FrameBorders
  /** A large frame that is coming, and how much of it is there. */
  #frame: Buffer | undefined
  #frameBytes = 0
  /** Large frames that are held, in their order. */
  #whole = NONE
  /** Large frames of the slice at hand that ws has told as a message: it has no part of them any more. */
  #told = NONE
  #lastTold: ArrayBufferLike | undefined
  #isStopped = false

  constructor (socket: WebSocket, raw: Socket, { turn, memory, frames, maxMessageBytes }: WebSocketReading) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
    this.#socket = socket
    this.#frames = frames
    this.#borders = new FrameBorders(maxMessageBytes)
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

  /** To be called with each message that ws tells. */
  onTold (message: Buffer): void {
    this.#lastTold = message.buffer
  }

  /** To be called with each answer: those to a slice go out with one system call, unless they are large. */
  flushLarge (): void {
    if (this.raw.writableLength >= MAX_BATCH_BYTES) this.#flush()
  }

  /** To be called when the socket is closed. */
  giveBack (): void {
    if (!this.#frame) return
    this.#frames.finish(this.#frame)
    this.#frames.giveBack(this.#frame)
    this.#frame = undefined
  }

  /** Ends the connection at once. What was answered is on its way then. */
  destroy (): void {
    this.#flush()
    this.#socket.terminate()
  }

  #flush (): void {
    if (this.raw.writableCorked === 0) return
    this.raw.uncork()
    this.raw.cork()
  }

  protected get isTaking (): boolean {
    return !this.#isStopped
  }

  /** ws keeps parts of it until their message is whole, and a service may keep that. */
  protected get isDoneAtOnce (): boolean {
    return false
  }

  /** Large frames are put together, so that ws need not do it. */
  protected override keep (chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#frame) {
        at += this.#fill(this.#frame, chunk, at)
        continue
      }
      const end = this.#borders.walk(chunk, at)
      if (end > at) this.hold(Buffer.from(chunk.subarray(at, end)))
      at = end
      if (at === chunk.length) return
      this.#frame = this.#frames.begin(this.#borders.largeBytes)
      this.#frameBytes = 0
      if (!this.#frame) this.#borders.pass()
    }
  }

  #fill (frame: Buffer, chunk: Buffer, at: number): number {
    const bytes = chunk.copy(frame, this.#frameBytes, at)
    this.#frameBytes += bytes
    if (this.#frameBytes === frame.length) {
      this.#frame = undefined
      this.#frames.finish(frame)
      if (this.#whole === NONE) [this.#whole, this.#told] = [[], []]
      this.#whole.push(frame)
      this.hold(frame)
    }
    return bytes
  }

  protected override isIndivisible (chunk: Buffer): boolean {
    return chunk === this.#whole[0]
  }

  protected override beginSlice (): void {
    this.raw.cork()
  }

  /** To ws, as long as it listens: not after a close frame, nor after a broken one. */
  protected take (piece: Buffer): void {
    this.raw.emit('data', piece)
    if (piece === this.#whole[0]) {
      this.#whole.shift()
      if (this.#lastTold === piece.buffer) this.#told.push(piece)
    }
    this.#lastTold = undefined
  }

  protected override endSlice (): void {
    const { raw } = this
    raw.uncork()
    if (this.#told.length === 0) return
    // What is not sent yet is still read from it.
    if (this.isBorrowed && raw.writableLength === 0) for (const frame of this.#told) this.#frames.giveBack(frame)
    this.#told.length = 0
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
