/**
 * Short answers to slices of messages, put together as frames in one piece of memory until they are sent: ws writes two buffers for each
 * of them, and 16 in flight cost half as much again.
 */
import { Socket } from 'node:net'
import type { Turn } from '../turn.ts'
import { FIN_BINARY, FIN_TEXT } from './frame-head.ts'

/** What is sent at once, and what a client that stops reading holds of memory for it. */
const BATCH_BYTES = 16_384
/** A longer answer is not worth its copy. */
const MAX_ANSWER_BYTES = 2048
/** Of a server's frame before its payload, where that has 65,535 bytes at most. */
const MAX_ANSWER_HEAD_BYTES = 4
const TWO_BYTES_FOLLOW = 126

/** Where a client's answers of a slice that is over wait for the turn's end. */
interface Held { readonly from: number, readonly to: number }

/** A socket that knows where its answers wait. */
type BatchedSocket = Socket & { batch?: AnswerBatch, held?: Held | undefined }

/** One is enough for all clients: their slices come one after another. */
export class AnswerBatch {
  readonly #turn: Turn
  /** Whose slice it is. */
  #raw: BatchedSocket | undefined
  #memory: Buffer | undefined
  /** What is not written yet of the slice at hand begins and ends here. */
  #from = 0
  #to = 0
  /** How many clients have something held. */
  #heldCount = 0
  /** Whether the system may not have taken all that was written from this memory. */
  #isOnItsWay = false

  /** @param turn in which the answers are sent. */
  constructor (turn: Turn) {
    this.#turn = turn
  }

  /** To be called once for each client: whatever else is written to it, by ws too, and the FIN come after the answers that wait. */
  watch (raw: Socket): void {
    Object.assign(raw, { batch: this, write: writeInOrder, end: endInOrder })
  }

  /** A client's slice begins. One that is behind has its answers written as they come: each such client would keep all of this memory. */
  begin (raw: Socket): void {
    this.#raw = raw.writableLength === 0 ? raw : undefined
    this.#from = this.#to
  }

  /** Whether it may have no room for one more: what waits is to be written, and its memory used again. */
  get isFull (): boolean {
    return this.#to > BATCH_BYTES - MAX_ANSWER_HEAD_BYTES - MAX_ANSWER_BYTES
  }

  /**
   * Takes an answer, unless it `isFull`: a whole message (RFC 6455, section 5.2).
   * @param bytes its length as UTF-8.
   * @returns false where ws has to send it: it is too long, or this is not the client's slice.
   */
  add (raw: Socket, message: Uint8Array | string, bytes: number, isBinary: boolean): boolean {
    if (raw !== this.#raw || bytes > MAX_ANSWER_BYTES) return false
    const memory = this.#memory ??= Buffer.allocUnsafeSlow(BATCH_BYTES)
    let at = this.#to
    memory[at++] = isBinary ? FIN_BINARY : FIN_TEXT
    if (bytes < TWO_BYTES_FOLLOW) memory[at++] = bytes
    else {
      memory[at++] = TWO_BYTES_FOLLOW
      memory[at++] = bytes >> 8
      memory[at++] = bytes & 0xff
    }
    if (typeof message === 'string') memory.write(message, at)
    else memory.set(message, at)
    this.#to = at + bytes
    return true
  }

  /** Writes the client's answers that wait, those of a slice before this one first. */
  flush (raw: BatchedSocket): void {
    this.#sendHeld(raw)
    if (raw !== this.#raw || this.#from === this.#to) return
    const from = this.#from
    this.#from = this.#to
    this.#write(raw, from, this.#to)
  }

  /** To be called after `flush`, and the slice goes on. Where it `isFull`, what waits of all clients is written. */
  next (raw: BatchedSocket): void {
    if (this.isFull) this.#turn.sendHeld()
    if (raw !== this.#raw) return
    this.end(raw)
    this.begin(raw)
  }

  /** The slice is over: what waits is sent in its turn. */
  end (raw: BatchedSocket): void {
    if (raw !== this.#raw) return
    // Of a slice before this one; and as long as this one is not over, its memory is not used again.
    if (this.#from < this.#to) this.#sendHeld(raw)
    this.#raw = undefined
    this.#noteUnsent(raw)
    if (this.#from === this.#to) return this.#useAgain()
    raw.held = { from: this.#from, to: this.#to }
    this.#from = this.#to
    this.#heldCount++
    this.#turn.answer({ send: () => this.#sendHeld(raw) })
  }

  #sendHeld (raw: BatchedSocket): void {
    const { held } = raw
    if (!held) return
    raw.held = undefined
    this.#heldCount--
    this.#write(raw, held.from, held.to)
    this.#noteUnsent(raw)
    this.#useAgain()
  }

  #write (raw: Socket, from: number, to: number): void {
    Socket.prototype.write.call(raw, (this.#memory as Buffer).subarray(from, to))
  }

  /** To be called after what was written is no longer corked. */
  #noteUnsent (raw: Socket): void {
    if (this.#to > 0 && raw.writableLength > 0) this.#isOnItsWay = true
  }

  /** The memory is used again where nothing waits in it, unless a part of it is still on its way. */
  #useAgain (): void {
    if (this.#heldCount > 0 || this.#raw) return
    if (this.#isOnItsWay) this.#memory = undefined
    this.#isOnItsWay = false
    this.#from = this.#to = 0
  }
}

function writeInOrder (this: BatchedSocket, ...args: Parameters<Socket['write']>): boolean {
  this.batch?.flush(this)
  return Reflect.apply(Socket.prototype.write, this, args) as boolean
}

function endInOrder (this: BatchedSocket, ...args: Parameters<Socket['end']>): Socket {
  this.batch?.flush(this)
  return Reflect.apply(Socket.prototype.end, this, args) as Socket
}
