/** Short answers to one slice of messages, put together as frames in one piece of memory: ws writes two buffers for each of them. */
import { Socket } from 'node:net'
import { FIN_BINARY, FIN_TEXT } from './frame-head.ts'

/** What is sent at once, and what a client that stops reading holds of memory for it. */
const BATCH_BYTES = 16_384
/** A longer answer is not worth its copy. */
const MAX_ANSWER_BYTES = 2048
/** Of a server's frame before its payload, where that has 65,535 bytes at most. */
const MAX_ANSWER_HEAD_BYTES = 4
const TWO_BYTES_FOLLOW = 126

/** A socket that knows where its answers wait. */
type BatchedSocket = Socket & { batch?: AnswerBatch }

/** One is enough for all clients: their slices come one after another. */
export class AnswerBatch {
  #raw: Socket | undefined
  #memory: Buffer | undefined
  /** What is not written yet begins and ends here. */
  #from = 0
  #to = 0

  /** To be called once for each client: whatever else is written to it, by ws too, comes after the answers that wait. */
  watch (raw: Socket): void {
    Object.assign(raw, { batch: this, write: writeInOrder })
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

  /** Writes the client's answers that wait. */
  flush (raw: Socket): void {
    if (raw !== this.#raw || !this.#memory || this.#from === this.#to) return
    const frames = this.#memory.subarray(this.#from, this.#to)
    this.#from = this.#to
    Socket.prototype.write.call(raw, frames)
  }

  /** As `end`, and the slice goes on. */
  next (raw: Socket): void {
    if (raw !== this.#raw) return
    this.end(raw)
    this.begin(raw)
  }

  /** The slice is over, and what was flushed has been given to the system: the memory is used again, unless a part is still on its way. */
  end (raw: Socket): void {
    if (raw !== this.#raw) return
    if (this.#to > 0 && raw.writableLength > 0) this.#memory = undefined
    this.#from = this.#to = 0
    this.#raw = undefined
  }
}

function writeInOrder (this: BatchedSocket, ...args: Parameters<Socket['write']>): boolean {
  this.batch?.flush(this)
  return Reflect.apply(Socket.prototype.write, this, args) as boolean
}
