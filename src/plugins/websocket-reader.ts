/** Hands ws what a client sent, in slices, and has the answers to each slice sent together. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn } from '../turn.ts'
import type { ReadInto } from './read-into.ts'
import { SliceReader } from './slice-reader.ts'

const FIRST_SLICE_BYTES = 4096
/** Of a client, bytes that wait for their turn; with more it is not read. */
const MAX_HELD_BYTES = 16_384
/** Answers that wait for the others of their slice. */
const MAX_BATCH_BYTES = 65_536

export class WebSocketReader extends SliceReader {
  readonly #socket: WebSocket
  #isStopped = false

  constructor (socket: WebSocket, raw: Socket, turn: Turn, memory: Buffer) {
    super(raw, turn, memory, FIRST_SLICE_BYTES)
    this.#socket = socket
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
    for (const chunk of [early, unread]) if (chunk && chunk.length > 0) this.hold(chunk)
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

  /** To be called with each answer: those to a slice go out with one system call, unless they are large. */
  flushLarge (): void {
    if (this.raw.writableLength >= MAX_BATCH_BYTES) this.#flush()
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

  protected take (slice: Buffer): void {
    this.raw.cork()
    // To ws, as long as it listens: not after a close frame, nor after a broken one.
    this.raw.emit('data', slice)
    this.raw.uncork()
  }

  protected override arrange (): void {
    super.arrange()
    const isPauseWanted = this.#isStopped || this.heldBytes >= MAX_HELD_BYTES
    if (isPauseWanted === this.#socket.isPaused) return
    // By way of ws, which would else read on when it likes.
    if (isPauseWanted) this.#socket.pause()
    else this.#socket.resume()
  }

  #onPlainData (): void {
    this.now = performance.now()
    this.raw.cork()
    process.nextTick(() => this.raw.uncork())
  }
}
