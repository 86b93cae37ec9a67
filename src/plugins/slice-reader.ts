/**
 * Hands on what a client sent, a slice at a time and in its turn, so that no client holds the loop: what HTTP and WebSocket have in
 * common. An echo behind 64 KiB of requests waits 0.8 ms for them, and 31 where they are parsed at once.
 */
import type { Socket } from 'node:net'
import type { Turn, Waiter } from '../turn.ts'
import { holdEnd } from './held-end.ts'
import type { Reader } from './read-into.ts'

/** How long a slice should take: the sizes of a client's slices follow from what its last one took. */
const SLICE_MS = 0.1
export const MIN_SLICE_BYTES = 512
const MAX_SLICE_BYTES = 65_536

const NONE: Buffer[] = []

export abstract class SliceReader implements Reader, Waiter {
  /** When the slice at hand began, on `performance.now()`'s clock: each message would ask it again. */
  now = performance.now()
  protected readonly raw: Socket
  protected readonly turn: Turn
  readonly #memory: Buffer
  #held = NONE
  #heldBytes = 0
  #isWaiting = false
  #isEndWatched = false
  #hasEnded = false
  #sliceBytes: number

  /**
   * @param memory where the bytes of all clients arrive.
   * @param sliceBytes the first slice's size at most.
   */
  constructor (raw: Socket, turn: Turn, memory: Buffer, sliceBytes: number) {
    this.raw = raw
    this.turn = turn
    this.#memory = memory
    this.#sliceBytes = sliceBytes
  }

  /** The next slice's size at most. */
  protected get sliceBytes (): number {
    return this.#sliceBytes
  }

  /** Bytes that came and were not handed on yet. */
  get heldBytes (): number {
    return this.#heldBytes
  }

  nextBuffer (): Buffer {
    return this.#memory
  }

  onRead (bytes: number, buffer: Buffer): boolean {
    const { isNext } = this
    this.keep(buffer.subarray(0, bytes))
    if (isNext && this.#heldBytes > 0) this.turn.spend(this.#handOn())
    this.arrange()
    return true
  }

  onTurn (): number | void {
    this.#isWaiting = false
    if (!this.isTaking || this.#heldBytes === 0 || this.raw.destroyed) return
    this.#handOn()
    this.arrange()
  }

  /** Whether a slice may be handed on now, as far as it depends on this client. */
  protected abstract get isTaking (): boolean

  /** Whether what comes now need not wait. */
  protected get isNext (): boolean {
    return this.#heldBytes === 0 && this.isTaking && !this.turn.isOver
  }

  /** How much of a chunk is taken in one piece, where the slice has room for `most` bytes. */
  protected pieceBytes (chunk: Buffer, most: number): number {
    return Math.min(chunk.length, most)
  }

  /** Whether a slice is over with its first piece, whatever room it has. */
  protected get isSliceOnePiece (): boolean {
    return false
  }

  /** To be called before and after what was held is taken. */
  protected beginSlice (): void {}
  protected endSlice (): void {}

  /** Takes a piece of a slice. */
  protected abstract take (piece: Buffer): void

  /** To be called after each read and each slice, and when `isTaking` becomes true. */
  protected arrange (): void {
    if (this.#heldBytes > 0) {
      if (!this.#isEndWatched) this.#watchEnd()
      if (this.isTaking) this.wait()
    } else if (this.#hasEnded && this.isTaking) {
      // After what the last slice has set off: Node.js answers no request after the end.
      setImmediate(() => this.#end())
    }
  }

  /** For a turn, unless it does that. */
  protected wait (): void {
    if (this.#isWaiting) return
    this.#isWaiting = true
    this.turn.wait(this)
  }

  /** Whether it has something yet to hand on, or the client's FIN to tell. */
  protected get isUnfinished (): boolean {
    return this.#heldBytes > 0 || this.#hasEnded
  }

  #end (): void {
    if (!this.#hasEnded) return
    if (!this.isTaking) return this.arrange()
    this.#hasEnded = false
    this.raw.emit('end')
  }

  /** Holds a copy of what was read. */
  protected keep (chunk: Buffer): void {
    this.hold(Buffer.from(chunk))
  }

  /** To be handed on in its turn. */
  hold (chunk: Buffer): void {
    if (this.#held === NONE) this.#held = []
    this.#held.push(chunk)
    this.#heldBytes += chunk.length
  }

  /** Everything that is held, which is not held any more. */
  protected letGo (): Buffer {
    const all = Buffer.concat(this.#held)
    this.#held = NONE
    this.#heldBytes = 0
    return all
  }

  /** From now on the client's FIN waits for what came before it, and is told after that. */
  #watchEnd (): void {
    this.#isEndWatched = true
    holdEnd(this.raw, () => {
      if (this.#heldBytes === 0) return false
      this.#hasEnded = true
      return true
    })
  }

  /** Hands on a slice of what is held. Returns the milliseconds that it took. */
  #handOn (): number {
    this.now = performance.now()
    let left = this.#sliceBytes
    this.beginSlice()
    do left -= this.#takeFirst(left)
    while (left > 0 && this.#heldBytes > 0 && !this.isSliceOnePiece && this.isTaking && !this.raw.destroyed)
    this.endSlice()
    return this.noteSlice(left <= 0 && this.#heldBytes > 0)
  }

  /** Takes the first chunk that is held, or as much of it as is wanted. Returns its bytes. */
  #takeFirst (most: number): number {
    const chunk = this.#held[0] as Buffer
    const bytes = this.pieceBytes(chunk, most)
    const isWhole = bytes === chunk.length
    const piece = isWhole ? chunk : chunk.subarray(0, bytes)
    if (isWhole) this.#held.shift()
    else this.#held[0] = chunk.subarray(bytes)
    this.#heldBytes -= piece.length
    this.take(piece)
    return piece.length
  }

  /**
   * To be called when a slice is over: the next one's size follows from the time that it took.
   * @param isFull whether there would have been more.
   * @returns the milliseconds.
   */
  protected noteSlice (isFull: boolean): number {
    const ms = performance.now() - this.now
    if (ms > 2 * SLICE_MS) this.#sliceBytes = Math.max(MIN_SLICE_BYTES, this.#sliceBytes >> 1)
    else if (isFull && ms < SLICE_MS) this.#sliceBytes = Math.min(MAX_SLICE_BYTES, this.#sliceBytes << 1)
    return ms
  }
}
