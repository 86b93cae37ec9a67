/**
 * What a WebSocket client sent, cut at the borders of its frames: messages that are one whole frame, and all else, which is for ws.
 * FrameMemory says what that saves where they are large.
 */
import { MIN_KEPT_BYTES, type FrameMemory } from './frame-memory.ts'
import { CLOSE, FIN, FIN_BINARY, FIN_TEXT, frameBytes, headBytes, isBroken, MASKED, MIN_FRAME_BYTES, OPCODE } from './frame-head.ts'

/** A longer message is left to ws, which takes it as it comes. */
const MAX_MESSAGE_BYTES = 1_048_576

export interface Holder {
  hold (piece: Buffer): void
  /** So many of the bytes that are held next are whole messages, or, as a negative number, are for ws. */
  addRun (bytes: number): void
}

export class ClientFrames {
  readonly #memory: FrameMemory
  readonly #maxMessageBytes: number
  /** Bytes of ws until the next frame begins. */
  #left = 0
  /** Whether what comes next is part of a message that has begun in another frame. */
  #isInMessage = false
  /** The beginning of a frame whose size is not known yet. */
  #head: Buffer | undefined
  /** A message that has begun to come, and how much of it is there. */
  #coming: Buffer | undefined
  #comingBytes = 0
  /** Those that have come and wait to be taken, in their order. */
  readonly #waiting: Buffer[] = []
  /** Those of the slice at hand. */
  readonly #taken: Buffer[] = []

  /** @param maxMessageBytes ws refuses a larger message at its head. */
  constructor (memory: FrameMemory, maxMessageBytes: number) {
    this.#memory = memory
    this.#maxMessageBytes = Math.min(MAX_MESSAGE_BYTES, maxMessageBytes)
  }

  /** Whether what comes next is the beginning of a frame. */
  get isAtBorder (): boolean {
    return this.#left === 0 && this.#coming === undefined && this.#head === undefined
  }

  /** What is there of a message that has begun to come. */
  get comingBytes (): number {
    return this.#coming ? this.#comingBytes : 0
  }

  /** Whether a message that has begun to come may come later. */
  get canWait (): boolean {
    return this.#coming !== undefined && !this.#memory.isScarce
  }

  /**
   * The size of the short message that is the next frame, in bytes with its head; 0 if it is something else, or not whole.
   * @param end behind the last byte that has come.
   */
  messageAt (bytes: Buffer, at: number, end: number): number {
    if (end - at < MIN_FRAME_BYTES || !this.#isMessage(bytes, at)) return 0
    const size = frameBytes(bytes, at, end)
    return size <= end - at && size < MIN_KEPT_BYTES && this.#isAllowed(bytes, at, size) ? size : 0
  }

  #isMessage (bytes: Buffer, at: number): boolean {
    const first = bytes[at]
    return (first === FIN_BINARY || first === FIN_TEXT) && ((bytes[at + 1] as number) & MASKED) !== 0 && !this.#isInMessage
  }

  #isAllowed (bytes: Buffer, at: number, size: number): boolean {
    return size - headBytes(bytes[at + 1] as number) <= this.#maxMessageBytes
  }

  /** Copies what was read, to be taken later. One that is long, or has not come whole, is put together first. */
  sort (chunk: Buffer, holder: Holder): void {
    const bytes = this.#head ? Buffer.concat([this.#head, chunk]) : chunk
    this.#head = undefined
    let from = 0
    let at = 0
    const holdUntilHere = () => {
      if (at > from) holder.hold(Buffer.from(bytes.subarray(from, at)))
      from = at
    }
    while (at < bytes.length) {
      if (this.#coming) {
        holdUntilHere()
        at = from = at + this.#fill(this.#coming, bytes, at, holder)
        continue
      }
      const messagesTo = this.#left > 0 ? at : this.#walkMessages(bytes, at)
      const to = messagesTo > at ? messagesTo : this.#walkRest(bytes, at)
      if (to > at) holder.addRun(messagesTo > at ? to - at : at - to)
      else if (!this.#coming) {
        holdUntilHere()
        this.#head = Buffer.from(bytes.subarray(at))
        return
      }
      at = to
    }
    holdUntilHere()
  }

  #walkMessages (bytes: Buffer, from: number): number {
    let at = from
    let size: number
    do {
      size = this.messageAt(bytes, at, bytes.length)
      at += size
    } while (size > 0)
    return at
  }

  /** As far as the next message; where that is put together, memory for it is there afterwards. */
  #walkRest (bytes: Buffer, from: number): number {
    let at = from
    while (at < bytes.length && (this.#left > 0 || this.#begin(bytes, at))) {
      const some = Math.min(this.#left, bytes.length - at)
      this.#left -= some
      at += some
    }
    return at
  }

  /** Whether the frame that begins there is for ws. */
  #begin (bytes: Buffer, at: number): boolean {
    if (bytes.length - at < 2) return false
    const first = bytes[at] as number
    // ws ends the connection for it, and does not wait for the rest of its head.
    const size = isBroken(first, bytes[at + 1] as number, this.#isInMessage) ? Infinity : frameBytes(bytes, at, bytes.length)
    if (size === 0 || this.messageAt(bytes, at, bytes.length) > 0) return false
    if (this.#isMessage(bytes, at) && this.#isAllowed(bytes, at, size)) {
      this.#coming = this.#memory.begin(size)
      this.#comingBytes = 0
      if (this.#coming) return false
    }
    const opcode = first & OPCODE
    if (opcode < CLOSE) this.#isInMessage = (first & FIN) === 0
    // Nothing counts after it (section 5.5.1).
    this.#left = opcode === CLOSE ? Infinity : size
    return true
  }

  #fill (frame: Buffer, bytes: Buffer, at: number, holder: Holder): number {
    const some = bytes.copy(frame, this.#comingBytes, at)
    this.#comingBytes += some
    if (this.#comingBytes === frame.length) {
      this.#coming = undefined
      this.#memory.finish(frame)
      this.#waiting.push(frame)
      holder.addRun(frame.length)
      holder.hold(frame)
    }
    return some
  }

  /** Whether this is a message that was put together, which is to be taken next. */
  isNext (piece: Buffer): boolean {
    return piece === this.#waiting[0]
  }

  /** To be called when a piece has been taken. */
  onTaken (piece: Buffer): void {
    if (this.isNext(piece)) this.#taken.push(this.#waiting.shift() as Buffer)
  }

  /**
   * To be called after each slice.
   * @param isFree whether nobody reads what was taken any more: its memory may be used again.
   */
  giveBackTaken (isFree: boolean): void {
    if (this.#taken.length === 0) return
    if (isFree) for (const frame of this.#taken) this.#memory.giveBack(frame)
    this.#taken.length = 0
  }

  /** To be called when nothing more will come. */
  end (): void {
    if (!this.#coming) return
    this.#memory.finish(this.#coming)
    this.#memory.giveBack(this.#coming)
    this.#coming = undefined
  }
}
