/** Hands on what a WebSocket client sent, in slices and in its turn. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn } from '../turn.ts'
import { ClientFrames, type Holder } from './client-frames.ts'
import { frameBytes } from './frame-head.ts'
import type { FrameMemory } from './frame-memory.ts'
import { MessageDelivery, type MessageTaker } from './message-delivery.ts'
import type { ReadInto } from './read-into.ts'
import { MIN_SLICE_BYTES, SliceReader } from './slice-reader.ts'
import type { WebSocketWriter } from './websocket-writer.ts'

const FIRST_SLICE_BYTES = 4096
/** Of a client, bytes that wait for their turn; with more it is not read. */
const MAX_HELD_BYTES = 16_384

/** What all readers share. */
export interface WebSocketReading {
  readonly turn: Turn
  /** Where the bytes of all clients arrive. */
  readonly memory: Buffer
  readonly frames: FrameMemory
  readonly maxMessageBytes: number
}

export class WebSocketReader extends SliceReader implements Holder {
  readonly #socket: WebSocket
  readonly #writer: WebSocketWriter
  readonly #frames: ClientFrames
  readonly delivery: MessageDelivery
  /** Of what is held, in its order: bytes of whole messages, and as negative numbers bytes for ws. */
  readonly #runs: number[] = []
  #isStopped = false
  /** Whether it is not read until its turn, and how long the read before that took. */
  #isReadStopped = false
  #lastReadMs = 0

  constructor (socket: WebSocket, raw: Socket, writer: WebSocketWriter, { turn, memory, frames, maxMessageBytes }: WebSocketReading) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
    this.#socket = socket
    this.#writer = writer
    this.#frames = new ClientFrames(frames, maxMessageBytes)
    this.delivery = new MessageDelivery(socket, raw, writer)
  }

  /** @param early what came before it was a WebSocket. */
  start (readInto: ReadInto, early: Buffer, taker: MessageTaker): void {
    const { raw } = this
    this.delivery.taker = taker
    if (!readInto(raw, this)) {
      raw.prependListener('data', (chunk: Buffer) => this.#onPlainData(chunk))
      // It flows already, as ws listens: this tells it at once.
      if (early.length > 0) raw.unshift(early)
      return
    }
    this.#writer.watch()
    if (early.length > 0) this.keep(early)
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

  /** What is held of a message that has not come whole. */
  get unfinishedBytes (): number {
    return this.#frames.comingBytes + this.delivery.givenBytes
  }

  /** Nothing more than the piece at hand is handed on, and what came is kept unread, until `go`. */
  stop (): void {
    this.#isStopped = true
    this.arrange()
  }

  go (): void {
    this.#isStopped = false
    this.arrange()
  }

  /** To be called when the connection is closed. */
  end (): void {
    this.#frames.end()
  }

  override onRead (bytes: number, buffer: Buffer): boolean {
    const now = performance.now()
    this.turn.begin(now)
    if (!this.isNext || !this.#frames.isAtBorder) return this.#sort(bytes, buffer, now)
    // What is there whole need not be copied.
    this.now = now
    const most = Math.min(bytes, this.sliceBytes)
    this.beginSlice()
    const at = this.#takeFirst(buffer, most, bytes)
    this.endSlice()
    if (at >= MIN_SLICE_BYTES) this.noteSlice(at >= most && at < bytes)
    return at === bytes || this.#sort(bytes - at, buffer.subarray(at, bytes), now)
  }

  /** Returns whether the next read may come in this turn: of a large message 32 would, before anybody else is served. */
  #sort (bytes: number, buffer: Buffer, startedAt: number): boolean {
    super.onRead(bytes, buffer)
    if (!this.#frames.canWait || !this.turn.isOver) return true
    this.#lastReadMs = performance.now() - startedAt
    this.#isReadStopped = true
    this.wait()
    return false
  }

  override onTurn (): number {
    const isToRead = this.#isReadStopped && !this.#isStopped
    this.#isReadStopped = false
    if (isToRead) this.raw.resume()
    super.onTurn()
    // It is spent once the bytes are read, later in this turn.
    return isToRead ? this.#lastReadMs : 0
  }

  #takeFirst (bytes: Buffer, most: number, end: number): number {
    let at = 0
    while (at < most && !this.#isStopped && !this.raw.destroyed) {
      const size = this.#frames.messageAt(bytes, at, end)
      if (size === 0) break
      this.delivery.tell(bytes, at, size, !this.delivery.isBorrowing)
      at += size
    }
    return at
  }

  protected get isTaking (): boolean {
    return !this.#isStopped
  }

  protected override keep (chunk: Buffer): void {
    this.#frames.sort(chunk, this)
  }

  addRun (bytes: number): void {
    const last = this.#runs.length - 1
    const before = this.#runs[last]
    if (before !== undefined && (before > 0) === (bytes > 0)) this.#runs[last] = before + bytes
    else this.#runs.push(bytes)
  }

  protected override pieceBytes (chunk: Buffer, most: number): number {
    if (this.#frames.isNext(chunk)) return chunk.length
    const run = this.#runs[0] ?? 0
    const end = Math.min(chunk.length, Math.abs(run))
    if (run < 0) return Math.min(end, most)
    let at = 0
    while (at < most && at < end) at += frameBytes(chunk, at, end)
    return at
  }

  protected override beginSlice (): void {
    this.#writer.begin()
  }

  protected take (piece: Buffer): void {
    const run = this.#runs[0] ?? 0
    const left = run < 0 ? run + piece.length : run - piece.length
    if (left === 0) this.#runs.shift()
    else this.#runs[0] = left
    if (run < 0) this.delivery.give(piece)
    else {
      for (let at = 0, size: number; at < piece.length && !this.raw.destroyed; at += size) {
        size = frameBytes(piece, at, piece.length)
        this.delivery.tell(piece, at, size, false)
      }
      this.#frames.onTaken(piece)
    }
  }

  protected override endSlice (): void {
    this.#writer.end()
    // What is not sent yet is still read from it.
    this.#frames.giveBackTaken(this.delivery.isBorrowing && this.raw.writableLength === 0)
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

  #onPlainData (chunk: Buffer): void {
    this.now = performance.now()
    this.delivery.givenBytes += chunk.length
    this.#writer.beginPlain()
  }
}
