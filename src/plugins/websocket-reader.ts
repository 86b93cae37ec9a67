/** Hands ws what a client sent, a slice at a time, so that no client holds the loop; and has the answers to each slice sent together. */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { Turn, Waiter } from '../turn.ts'
import type { ReadInto, Reader } from './read-into.ts'

/** How long a slice should take: the sizes of a client's slices follow from what its last one took. */
const SLICE_MS = 0.1
const MIN_SLICE_BYTES = 512
const FIRST_SLICE_BYTES = 4096
const MAX_SLICE_BYTES = 65_536
/** Of a client, bytes that wait for their turn; with more it is not read. At its FIN they are handed over at once. */
const MAX_HELD_BYTES = 16_384
/** Answers that wait for the others of their slice. */
const MAX_BATCH_BYTES = 65_536

const NONE: Buffer[] = []

export class WebSocketReader implements Reader, Waiter {
  /** When the slice at hand began, on `performance.now()`'s clock: each message would ask it again. */
  now = performance.now()
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #turn: Turn
  readonly #memory: Buffer
  #held = NONE
  #heldBytes = 0
  #isWaiting = false
  #isStopped = false
  #sliceBytes = FIRST_SLICE_BYTES

  /** @param memory where the bytes of all clients arrive: they are copied from there at once. */
  constructor (socket: WebSocket, raw: Socket, turn: Turn, memory: Buffer) {
    this.#socket = socket
    this.#raw = raw
    this.#turn = turn
    this.#memory = memory
  }

  /** @param head what came with the handshake. */
  start (readInto: ReadInto, head: Buffer): void {
    const raw = this.#raw
    if (!readInto(raw, this)) {
      raw.unshift(head)
      raw.prependListener('data', () => this.#onPlainData())
      return
    }
    raw.prependListener('end', () => { while (this.#heldBytes > 0) this.#handOver() })
    const early = raw.read() as Buffer | null
    for (const chunk of [head, early]) if (chunk && chunk.length > 0) this.#hold(chunk)
    this.#arrange()
  }

  /** Whether something has come that will be handed over soon. */
  get isHolding (): boolean {
    return this.#heldBytes > 0 && !this.#isStopped
  }

  get isStopped (): boolean {
    return this.#isStopped
  }

  /** Nothing more is handed over, and what came is kept unread, until `go`. */
  stop (): void {
    this.#isStopped = true
    this.#arrange()
  }

  go (): void {
    this.#isStopped = false
    this.#arrange()
  }

  /** To be called with each answer: those to a slice go out with one system call, unless they are large. */
  flushLarge (): void {
    if (this.#raw.writableLength >= MAX_BATCH_BYTES) this.flush()
  }

  /** To be called before the connection is destroyed: what was answered is on its way then. */
  flush (): void {
    if (this.#raw.writableCorked === 0) return
    this.#raw.uncork()
    this.#raw.cork()
  }

  nextBuffer (): Buffer {
    return this.#memory
  }

  onRead (bytes: number): boolean {
    const isNext = this.#heldBytes === 0 && !this.#isStopped && !this.#turn.isOver
    // A copy: ws keeps parts of it until their message is whole, and a service may keep that.
    this.#hold(Buffer.from(this.#memory.subarray(0, bytes)))
    if (isNext) this.#turn.spend(this.#handOver())
    this.#arrange()
    return true
  }

  onTurn (): number {
    this.#isWaiting = false
    if (this.#isStopped || this.#heldBytes === 0 || this.#raw.destroyed) return 0
    const ms = this.#handOver()
    this.#arrange()
    return ms
  }

  #hold (chunk: Buffer): void {
    if (this.#held === NONE) this.#held = []
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
  }

  /** Hands over a slice of what is held. Returns the milliseconds that it took. */
  #handOver (): number {
    const startedAt = this.now = performance.now()
    const sliceBytes = this.#sliceBytes
    const chunk = this.#held[0] as Buffer
    const isWhole = chunk.length <= sliceBytes
    const slice = isWhole ? chunk : chunk.subarray(0, sliceBytes)
    if (isWhole) this.#held.shift()
    else this.#held[0] = chunk.subarray(sliceBytes)
    this.#heldBytes -= slice.length
    this.#raw.cork()
    // To ws, as long as it listens: not after a close frame, nor after a broken one.
    this.#raw.emit('data', slice)
    this.#raw.uncork()
    const ms = performance.now() - startedAt
    if (ms > 2 * SLICE_MS) this.#sliceBytes = Math.max(MIN_SLICE_BYTES, sliceBytes >> 1)
    else if (!isWhole && ms < SLICE_MS) this.#sliceBytes = Math.min(MAX_SLICE_BYTES, sliceBytes << 1)
    return ms
  }

  /** What follows from what is held and from whether it may be handed over: whether it waits for its turn, and whether more is read. */
  #arrange (): void {
    if (this.#heldBytes > 0 && !this.#isStopped && !this.#isWaiting) {
      this.#isWaiting = true
      this.#turn.wait(this)
    }
    const isPauseWanted = this.#isStopped || this.#heldBytes >= MAX_HELD_BYTES
    if (isPauseWanted === this.#socket.isPaused) return
    // By way of ws, which would else read on when it likes.
    if (isPauseWanted) this.#socket.pause()
    else this.#socket.resume()
  }

  #onPlainData (): void {
    this.now = performance.now()
    this.#raw.cork()
    process.nextTick(() => this.#raw.uncork())
  }
}
