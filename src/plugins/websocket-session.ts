/** One WebSocket client: what every WebSocket service needs and none should have to write. */
import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { Config } from '../config.ts'
import type { Connection } from '../connections.ts'
import { Bucket } from '../rates.ts'
import type { Member } from '../roster.ts'
import type { Peer, WebSocketClient, WebSocketReceiver, WebSocketService } from '../service.ts'
import type { MessageTaker } from './message-delivery.ts'
import type { WebSocketReader } from './websocket-reader.ts'
import type { WebSocketWriter } from './websocket-writer.ts'

/* Close codes: RFC 6455, section 7.4.1, and its registry. */
const ABNORMAL = 1006
const POLICY_VIOLATION = 1008
const INTERNAL_ERROR = 1011
const TRY_AGAIN_LATER = 1013
/** Of a client's control frame, what is not its payload (RFC 6455, section 5.2). */
const CONTROL_HEADER_BYTES = 6
/** Of a message that has not come whole, what may stay while memory is short. */
const MAX_UNFINISHED_BYTES = 65_536

/** What all sessions of the runner share. */
export interface WebSocketRunner {
  readonly limits: Config['websocket']
  onClosed (session: WebSocketSession): void
}

/** A WebSocket knows its session, so that all of them have the same listeners. */
type SessionSocket = WebSocket & { session?: WebSocketSession }

/** How ws is told what a message is. */
const BINARY = { binary: true }
const TEXT = { binary: false }

export class WebSocketSession implements WebSocketClient, MessageTaker, Member {
  rosterIndex = -1
  readonly remote: Peer
  readonly #socket: SessionSocket
  readonly #raw: Socket
  readonly #reader: WebSocketReader
  readonly #writer: WebSocketWriter
  readonly connection: Connection
  isBorrowing = false
  readonly #runner: WebSocketRunner
  readonly #rate: Bucket
  #receiver: WebSocketReceiver = {}
  #isAlive = true
  /** Whether a close frame was sent that the client has to answer. */
  #isClosing = false
  /** Messages that came after the close frame was sent. */
  #late = 0

  constructor (socket: WebSocket, raw: Socket, reader: WebSocketReader, writer: WebSocketWriter, remote: Peer, connection: Connection, runner: WebSocketRunner) {
    this.remote = remote
    this.#socket = Object.assign(socket, { session: this })
    this.#raw = raw
    this.#reader = reader
    this.#writer = writer
    this.connection = connection
    this.#runner = runner
    this.#rate = new Bucket(runner.limits.rate, reader.now)
  }

  start (service: WebSocketService): void {
    this.#socket.on('close', onClose).on('error', onError)
    this.#guard(() => {
      const receiver = service.onConnection(this)
      if (typeof receiver === 'function') this.#receiver = { message: receiver }
      else if (receiver) this.#receiver = receiver
      this.isBorrowing = this.#receiver.borrow !== undefined
    })
    this.#socket.on('pong', onControl).on('ping', onControl).on('message', onMessage)
  }

  /** The next beat: a client that gave no sign of life since the last one is ended. A message that never ends is none. */
  ping (): void {
    // Its pong may be among what waits for its turn.
    if (!this.#isAlive && !this.#reader.isHolding) return this.connection.destroyFor('WS_PING_MS', 'no pong')
    this.#isAlive = false
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  /** The client broke the protocol or its connection broke: `closed` follows. */
  failed (error: NodeJS.ErrnoException): void {
    const limit = LIMITS[error.code ?? '']
    // ws has sent its close frame.
    this.#isClosing = true
    if (limit) this.connection.crossed(limit)
    else this.connection.failed(error)
  }

  /** Gives back what an unfinished message holds: together they may hold more than there is. */
  onMemoryShort (): void {
    if (this.#reader.unfinishedBytes < MAX_UNFINISHED_BYTES) return
    this.close(TRY_AGAIN_LATER, 'the server is short of memory', 'SHED_MEMORY_BYTES')
    // Nothing else gives back what it holds.
    this.#isClosing = false
    this.destroy()
  }

  destroy (): void {
    this.#writer.destroy()
  }

  onClose (code: number): void {
    this.#runner.onClosed(this)
    this.#reader.end()
    // Once ws has refused what a client sent, it hears no answer; the client's FIN is one.
    if (code === ABNORMAL && this.#isClosing && !this.#raw.errored && !this.#raw.readableEnded) this.connection.crossed('WS_CLOSE_MS')
    this.#guard(() => this.#receiver.close?.())
    this.connection.closed(`close code ${code}`)
  }

  get isBehind (): boolean {
    return this.#socket.bufferedAmount > this.#runner.limits.pauseBytes
  }

  send (message: Uint8Array | string, isBinary = typeof message !== 'string'): void {
    const socket = this.#socket
    const { limits } = this.#runner
    if (socket.readyState !== socket.OPEN) return
    const unsent = socket.bufferedAmount
    if (unsent > limits.maxUnsentBytes) return this.connection.destroyFor('WS_MAX_UNSENT_BYTES', 'reads too slowly')
    const bytes = Buffer.byteLength(message)
    // A callback for each message costs as much as counting it.
    const mayBeBehind = unsent + bytes > limits.pauseBytes
    if (mayBeBehind || !this.#writer.answer(message, bytes, isBinary)) {
      socket.send(this.#writer.beforeSend(message), isBinary ? BINARY : TEXT, mayBeBehind ? () => this.#onSent() : undefined)
      this.#writer.afterSend()
    }
    this.connection.sent(bytes)
    // A client that does not read is not read.
    if (!mayBeBehind || !this.isBehind || this.#reader.isStopped) return
    this.connection.endpoint.crossings.add('WS_PAUSE_BYTES')
    this.#reader.stop()
  }

  close (code: number, reason: string, limit?: string): void {
    if (limit === undefined) this.connection.because(reason)
    else this.connection.crossed(limit, reason)
    this.#isClosing = true
    this.#socket.close(code, reason)
  }

  #onSent (): void {
    if (!this.#reader.isStopped) return
    // Its pong waits unread, but a client that takes what was held back for it is there.
    this.#isAlive = true
    if (!this.isBehind) this.#reader.go()
  }

  onControl (data: Buffer): void {
    this.#reader.delivery.onParsed(CONTROL_HEADER_BYTES + data.length)
    // ws has just ended it, and says so nowhere else.
    if (this.#raw.destroyed && !this.connection.isEnding) return this.connection.crossed('WS_MAX_PONGS')
    if (!this.#isTooFast()) this.#isAlive = true
  }

  /** A message that ws has put together. */
  onMessage (data: RawData, isBinary: boolean): void {
    this.#reader.delivery.onParsed()
    this.take(data as Buffer, isBinary) // binaryType is nodebuffer, ws's default
  }

  take (message: Buffer, isBinary: boolean): void {
    this.connection.received(message.length)
    if (this.#isTooFast()) return
    this.#isAlive = true
    try {
      if (this.#receiver.borrow) this.#receiver.borrow(message, isBinary)
      else this.#receiver.message?.(message, isBinary)
    } catch (err) {
      this.#onServiceError(err)
    }
  }

  /** Ends a client that sends more than it may: with a close frame, and without one if it goes on as if it had not come. */
  #isTooFast (): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      if (++this.#late === this.#runner.limits.rate.burst) this.destroy()
      return true
    }
    if (this.#rate.take(this.#reader.now)) return false
    this.close(POLICY_VIOLATION, `more than ${this.#runner.limits.rate.perSecond} messages a second`, 'WS_RATE')
    return true
  }

  /** A service that throws loses this one client and no other. */
  #guard (step: () => void): void {
    try {
      step()
    } catch (err) {
      this.#onServiceError(err)
    }
  }

  #onServiceError (err: unknown): void {
    this.connection.log.error({ err }, 'the service failed')
    this.close(INTERNAL_ERROR, 'service failed')
  }
}

function onClose (this: SessionSocket, code: number): void { this.session?.onClose(code) }
function onError (this: SessionSocket, error: Error): void { this.session?.failed(error) }
function onControl (this: SessionSocket, data: Buffer): void { this.session?.onControl(data) }
function onMessage (this: SessionSocket, data: RawData, isBinary: boolean): void { this.session?.onMessage(data, isBinary) }

/** The errors of ws that tell of a crossed limit. */
const LIMITS: Readonly<Record<string, string>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'WS_MAX_MESSAGE_BYTES',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'WS_MAX_FRAGMENTS'
}
