/**
 * Has the answers to each slice of a WebSocket client's messages sent together: of 16 in flight each cost 2.2 µs so, and 21.9 with a
 * system call of its own.
 */
import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'
import type { AnswerBatch } from './answer-batch.ts'

/** Answers that wait for the others of their slice. */
const MAX_CORKED_BYTES = 65_536

export class WebSocketWriter {
  readonly #socket: WebSocket
  readonly #raw: Socket
  readonly #batch: AnswerBatch
  readonly #readMemory: ArrayBufferLike
  #isInSlice = false
  #isCorked = false

  /** @param readMemory where what all clients send arrives, and what a service has borrowed may be. */
  constructor (socket: WebSocket, raw: Socket, batch: AnswerBatch, readMemory: Buffer) {
    this.#readMemory = readMemory.buffer
    this.#socket = socket
    this.#raw = raw
    this.#batch = batch
  }

  /** To be called before the first slice begins: from then on what ws writes comes behind the answers that wait. */
  watch (): void {
    this.#batch.watch(this.#raw)
  }

  /** A slice begins. */
  begin (): void {
    this.#isInSlice = true
    this.#batch.begin(this.#raw)
  }

  /** The slice is over: what was answered is sent, in its turn. */
  end (): void {
    this.#isInSlice = false
    if (this.#isCorked) {
      this.#batch.flush(this.#raw)
      this.#uncork()
    }
    this.#batch.end(this.#raw)
  }

  /** A slice that is over once this turn's listeners are done, where Node.js reads as it likes. */
  beginPlain (): void {
    this.#isInSlice = true
    process.nextTick(() => {
      this.#isInSlice = false
      this.#uncork()
    })
  }

  /** Sends a short answer to the slice at hand; false where ws has to send it. */
  answer (message: Uint8Array | string, bytes: number, isBinary: boolean): boolean {
    if (this.#batch.isFull) this.#flush()
    return this.#batch.add(this.#raw, message, bytes, isBinary)
  }

  /**
   * To be called before something that ws sends: to a slice it goes out with one system call, unless it is much.
   * @returns what is to be sent in its place: a part of it may still be on its way when the next client is read.
   */
  beforeSend (message: Uint8Array | string): Uint8Array | string {
    if (this.#isInSlice) this.cork()
    return typeof message !== 'string' && message.buffer === this.#readMemory ? Buffer.from(message) : message
  }

  /** To be called after that. */
  afterSend (): void {
    if (this.#raw.writableLength >= MAX_CORKED_BYTES) this.#flush()
  }

  /** Whatever ws sends waits for the end of the slice. */
  cork (): void {
    if (this.#isCorked) return
    this.#isCorked = true
    this.#raw.cork()
  }

  #uncork (): void {
    if (!this.#isCorked) return
    this.#isCorked = false
    this.#raw.uncork()
  }

  /** Ends the connection at once. What was answered is on its way then. */
  destroy (): void {
    this.#flush()
    this.#socket.terminate()
  }

  #flush (): void {
    this.#batch.flush(this.#raw)
    this.#uncork()
    this.#batch.next(this.#raw)
  }
}
