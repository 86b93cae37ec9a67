/**
 * Delivers what a WebSocket client sent: messages that are one whole frame to its session, all else to ws. In ws's parser, which takes
 * anything in any pieces, 16 short ones in flight cost half as much again, and 1 KiB an eighth more.
 */
import type { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { WebSocket } from 'ws'
import { FIN_TEXT, headBytes } from './frame-head.ts'
import { isText, unmask } from './unmask.ts'
import type { WebSocketWriter } from './websocket-writer.ts'

export interface MessageTaker {
  /** Whether it is done with a message when `take` returns, but for what it has sent to this client. */
  readonly isBorrowing: boolean
  take (message: Buffer, isBinary: boolean): void
}

/** ws keeps what it parses a client's bytes with to itself, undocumented. */
type ParsedSocket = WebSocket & { readonly _receiver?: Writable | null }

export class MessageDelivery {
  taker: MessageTaker | undefined
  /** Given to ws, of which it has made no message yet. */
  givenBytes = 0
  readonly #socket: ParsedSocket
  readonly #raw: Socket
  readonly #writer: WebSocketWriter

  constructor (socket: WebSocket, raw: Socket, writer: WebSocketWriter) {
    this.#socket = socket
    this.#raw = raw
    this.#writer = writer
  }

  get isBorrowing (): boolean {
    return this.taker?.isBorrowing === true
  }

  /**
   * Delivers the message that is the frame at `at`.
   * @param size the frame's, in bytes.
   * @param isToCopy whether the memory is read into again, and the message may be kept.
   */
  tell (bytes: Buffer, at: number, size: number, isToCopy: boolean): void {
    if (this.hasRefused) return this.give(bytes.subarray(at, at + size))
    const from = at + headBytes(bytes[at + 1] as number)
    const to = at + size
    const isBeyondAscii = unmask(bytes, from, to)
    const payload = bytes.subarray(from, to)
    const isBinary = bytes[at] !== FIN_TEXT
    if (isBinary || isText(payload, isBeyondAscii)) {
      this.taker?.take(isToCopy ? Buffer.from(payload) : payload, isBinary)
      return
    }
    // ws says what is wrong with it, and ends the connection.
    unmask(bytes, from, to)
    this.give(bytes.subarray(at, to))
  }

  /** Whether ws has found something wrong: it does not say so at once. */
  get hasRefused (): boolean {
    return this.#socket._receiver?.errored !== null
  }

  /** To ws, as long as it listens: not after a close frame, nor after a broken one. */
  give (bytes: Buffer): void {
    this.#writer.cork()
    this.givenBytes += bytes.length
    this.#raw.emit('data', bytes)
  }

  /** To be called when ws has made something of so many of the bytes that it was given, or a message, of all of them. */
  onParsed (bytes = Infinity): void {
    this.givenBytes = Math.max(0, this.givenBytes - bytes)
  }
}
