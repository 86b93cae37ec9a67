/** Hands on what a WebSocket client sent, in slices: messages that are one frame to the session, all else to ws. */
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Turn } from '../turn.ts'
import { ClientFrames, type Holder } from './client-frames.ts'
import { FIN_TEXT, frameBytes, headBytes } from './frame-head.ts'
import type { FrameMemory } from './frame-memory.ts'
import type { ReadInto } from './read-into.ts'
import { MIN_SLICE_BYTES, SliceReader } from './slice-reader.ts'
import { isText, unmask } from './unmask.ts'
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

export interface MessageTaker {
  /** Whether it is done with a message when `take` returns, but for what it has sent to this client. */
  readonly isBorrowing: boolean
  take (message: Buffer, isBinary: boolean): void
}

/** ws keeps what it parses a client's bytes with to itself. */
type ParsedSocket = WebSocket & { readonly _receiver?: Writable }

export class WebSocketReader extends SliceReader implements Holder {
  readonly #socket: WebSocket
  readonly #writer: WebSocketWriter
  readonly #frames: ClientFrames
  #taker: MessageTaker | undefined
  /** Of what is held, in its order: bytes of whole messages, and as negative numbers bytes for ws. */
  readonly #runs: number[] = []
  /** Given to ws, of which it has made no message yet. */
  #givenBytes = 0
  #isStopped = false
  /** Whether it is not read until its turn, and how long the read before that took. */
  #isReadStopped = false
  #lastReadMs = 0

  constructor (socket: WebSocket, raw: Socket, writer: WebSocketWriter, { turn, memory, frames, maxMessageBytes }: WebSocketReading) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
    this.#socket = socket
    this.#writer = writer
    this.#frames = new ClientFrames(frames, maxMessageBytes)
  }

  /** @param early what came before it was a WebSocket. */
  start (readInto: ReadInto, early: Buffer, taker: MessageTaker): void {
    const { raw } = this
    this.#taker = taker
    const unread = raw.read() as Buffer | null
    if (!readInto(raw, this)) {
      for (const chunk of [unread, early]) if (chunk) raw.unshift(chunk)
      raw.prependListener('data', (chunk: Buffer) => this.#onPlainData(chunk))
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

  /** What is held of a message that has not come whole. */
  get unfinishedBytes (): number {
    return this.#frames.comingBytes + this.#givenBytes
  }

  /** To be called when ws has made something of what it was given. */
  onParsed (bytes = Infinity): void {
    this.#givenBytes = Math.max(0, this.#givenBytes - bytes)
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
      this.#tell(bytes, at, size, this.#taker?.isBorrowing !== true)
      at += size
    }
    return at
  }

  /** @param isToCopy whether the memory is read into again, and the message may be kept. */
  #tell (bytes: Buffer, at: number, size: number, isToCopy: boolean): void {
    if (this.#hasRefused) return this.#give(bytes.subarray(at, at + size))
    const from = at + headBytes(bytes[at + 1] as number)
    const to = at + size
    const isBeyondAscii = unmask(bytes, from, to)
    const payload = bytes.subarray(from, to)
    const isBinary = bytes[at] !== FIN_TEXT
    if (isBinary || isText(payload, isBeyondAscii)) {
      this.#taker?.take(isToCopy ? Buffer.from(payload) : payload, isBinary)
      return
    }
    // ws says what is wrong with it, and ends the connection.
    unmask(bytes, from, to)
    this.#give(bytes.subarray(at, to))
  }

  /** Whether ws has found something wrong: it does not say so at once. */
  get #hasRefused (): boolean {
    const { _receiver: receiver } = this.#socket as ParsedSocket
    return receiver?.errored !== null
  }

  /** To ws, as long as it listens: not after a close frame, nor after a broken one. */
  #give (bytes: Buffer): void {
    this.#writer.cork()
    this.#givenBytes += bytes.length
    this.raw.emit('data', bytes)
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
    if (run < 0) this.#give(piece)
    else {
      for (let at = 0, size: number; at < piece.length && !this.raw.destroyed; at += size) {
        size = frameBytes(piece, at, piece.length)
        this.#tell(piece, at, size, false)
      }
      this.#frames.onTaken(piece)
    }
  }

  protected override endSlice (): void {
    this.#writer.end()
    // What is not sent yet is still read from it.
    this.#frames.giveBackTaken(this.#taker?.isBorrowing === true && this.raw.writableLength === 0)
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
    this.#givenBytes += chunk.length
    this.#writer.beginPlain()
  }
}
