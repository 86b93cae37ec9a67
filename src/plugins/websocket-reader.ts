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
  }

  /** Whether something has come that will be handed over soon. */
  get isHolding (): boolean {
    return this.#heldBytes > 0 && !this.#isStopped
  }

  /** Nothing more is handed over, and what came is kept unread, until `go`. */
  stop (): void {
    this.#isStopped = true
    this.#pauseOrResume()
  }

  go (): void {
    this.#isStopped = false
    if (this.#heldBytes > 0) this.#waitForTurn()
    this.#pauseOrResume()
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
    // ws keeps parts of it until their message is whole, and a service may keep that.
    const chunk = Buffer.from(this.#memory.subarray(0, bytes))
    if (this.#heldBytes > 0 || this.#isStopped || this.#turn.isOver) {
      this.#hold(chunk)
    } else {
      this.#turn.spend(this.#handSlice(chunk))
    }
    this.#pauseOrResume()
    return true
  }

  #hold (chunk: Buffer): void {
    if (this.#held === NONE) this.#held = []
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
    if (!this.#isStopped) this.#waitForTurn()
  }

  #waitForTurn (): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.#turn.wait(this)
  }

  onTurn (): number {
    this.#isWaiting = false
    if (this.#isStopped || this.#heldBytes === 0 || this.#raw.destroyed) return 0
    const ms = this.#handOver()
    if (this.#heldBytes > 0 && !this.#isStopped) this.#waitForTurn()
    this.#pauseOrResume()
    return ms
  }

  /** Hands over a slice of what is held. */
  #handOver (): number {
    const chunk = this.#held.shift() as Buffer
    this.#heldBytes -= chunk.length
    return this.#handSlice(chunk)
  }

  /** Hands over the first slice of a chunk, and holds the rest. Returns the milliseconds that it took. */
  #handSlice (chunk: Buffer): number {
    const sliceBytes = this.#sliceBytes
    const startedAt = this.now = performance.now()
    const isWhole = chunk.length <= sliceBytes
    if (!isWhole) {
      if (this.#held === NONE) this.#held = []
      this.#held.unshift(chunk.subarray(sliceBytes))
      this.#heldBytes += chunk.length - sliceBytes
      if (!this.#isStopped) this.#waitForTurn()
    }
    this.#raw.cork()
    // To ws, as long as it listens: not after a close frame, nor after a broken one.
    this.#raw.emit('data', isWhole ? chunk : chunk.subarray(0, sliceBytes))
    this.#raw.uncork()
    const ms = performance.now() - startedAt
    if (ms > 2 * SLICE_MS) this.#sliceBytes = Math.max(MIN_SLICE_BYTES, sliceBytes >> 1)
    else if (!isWhole && ms < SLICE_MS) this.#sliceBytes = Math.min(MAX_SLICE_BYTES, sliceBytes << 1)
    return ms
  }

  /** By way of ws, which would else read on when it likes. */
  #pauseOrResume (): void {
    const isWanted = this.#isStopped || this.#heldBytes >= MAX_HELD_BYTES
    if (isWanted === this.#socket.isPaused) return
    if (isWanted) this.#socket.pause()
    else this.#socket.resume()
  }

  #onPlainData (): void {
    this.now = performance.now()
    this.#raw.cork()
    process.nextTick(() => this.#raw.uncork())
  }
}
