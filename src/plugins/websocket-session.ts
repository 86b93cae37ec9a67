/** One WebSocket client: limits, counters, backpressure and heartbeat for every WebSocket service. */
import type { Socket } from 'node:net'
import type { RawData, WebSocket } from 'ws'
import type { Config } from '../config/config.ts'
import type { Peer, WebSocketClient, WebSocketService } from '../service.ts'
import type { Connection } from '../traffic/connection.ts'
import type { Connections, Owner } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { Bucket } from '../traffic/rates.ts'
import { Cork } from './cork.ts'

/* Close codes: RFC 6455, section 7.4.1, and its registry. */
const GOING_AWAY = 1001
const ABNORMAL = 1006
const POLICY_VIOLATION = 1008
const INTERNAL_ERROR = 1011
const TRY_AGAIN_LATER = 1013
/** Largest unfinished message that may stay while memory is short. */
const MAX_UNFINISHED_BYTES = 65_536

/** Errors of ws that mean a crossed limit, and its name. */
const LIMITS: Readonly<Record<string, string>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'WS_MAX_MESSAGE_BYTES',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'WS_MAX_FRAGMENTS'
}

/** Options of ws for the type of a message. */
const BINARY = { binary: true }
const TEXT = { binary: false }

/** Stored on the WebSocket, so that all WebSockets share the same listeners. */
const SESSION = Symbol('session')
type Held = WebSocket & { [SESSION]?: WebSocketSession }

/** The session of a WebSocket; undefined if it was refused. */
export const webSocketSessionOf = (socket: WebSocket): WebSocketSession | undefined => (socket as Held)[SESSION]

/** A client after its handshake. */
export interface Opened {
  readonly socket: WebSocket
  /** The TCP connection below it. */
  readonly raw: Socket
  readonly peer: Peer
  readonly endpoint: Endpoint
  /** The number that the connection had on HTTP. */
  readonly id: number
  readonly onClosed: () => void
}

export class WebSocketSession implements WebSocketClient, Owner {
  readonly remote: Peer
  readonly connection: Connection
  readonly #socket: Held
  readonly #raw: Socket
  readonly #limits: Config['websocket']
  readonly #cork: Cork
  readonly #rate: Bucket
  readonly #onClosed: Opened['onClosed']
  /**
   * Kept as the service returned it. V8 would soon allocate a wrapper object made here in the old generation, where it would
   * keep a closed client alive until the next full collection.
   */
  #receiver: ReturnType<WebSocketService['onConnection']> = undefined
  /** Whether the client gave a sign of life since the last beat. */
  #isAlive = true
  /** Whether the server sent a close frame that the client has to answer. */
  #isClosing = false
  /** Messages that came after the close frame was sent. */
  #late = 0
  /** `bytesRead` when the last message was complete. */
  #bytesAtMessage: number

  constructor ({ socket, raw, peer, endpoint, id, onClosed }: Opened, connections: Connections, limits: Config['websocket']) {
    this.remote = peer
    this.#socket = Object.assign(socket, { [SESSION]: this })
    this.#raw = raw
    this.#limits = limits
    this.#cork = new Cork(raw)
    this.#rate = new Bucket(limits.rate, performance.now())
    this.#onClosed = onClosed
    this.#bytesAtMessage = raw.bytesRead
    this.connection = connections.open(endpoint, peer, this, id)
  }

  start (service: WebSocketService): void {
    this.#socket.on('close', onClose).on('error', onError)
    this.#guard(() => { this.#receiver = service.onConnection(this) })
    this.#socket.on('message', onMessage).on('ping', onControl).on('pong', onControl)
  }

  get isBehind (): boolean {
    return this.#socket.bufferedAmount > this.#limits.pauseBytes
  }

  send (message: Uint8Array | string, isBinary = typeof message !== 'string'): void {
    const socket = this.#socket
    if (socket.readyState !== socket.OPEN || this.#isTooFarBehind()) return
    const bytes = Buffer.byteLength(message)
    // Only a message that may fill the buffer needs a callback.
    const mayBeBehind = socket.bufferedAmount + bytes > this.#limits.pauseBytes
    this.#cork.in()
    socket.send(message, isBinary ? BINARY : TEXT, mayBeBehind ? () => this.#onSent() : undefined)
    this.connection.sent(bytes)
    if (!mayBeBehind) return
    this.#cork.out()
    // The server does not read from a client that does not read.
    if (!this.isBehind || socket.isPaused) return
    this.connection.endpoint.crossings.add('WS_PAUSE_BYTES')
    socket.pause()
  }

  close (code: number, reason: string, limit?: string): void {
    if (limit === undefined) this.connection.because(reason)
    else this.connection.crossed(limit, reason)
    this.#isClosing = true
    this.#socket.close(code, reason)
    this.#cork.out()
  }

  destroy (): void {
    this.#socket.terminate()
  }

  drain (): void {
    this.close(GOING_AWAY, 'server draining')
  }

  /** The next beat: ends a client that gave no sign of life since the last one. An unfinished message is no sign of life. */
  ping (): void {
    if (!this.#isAlive) return this.connection.destroyFor('WS_PING_MS', 'no pong')
    this.#isAlive = false
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  /** Ends a client with a large unfinished message: only closing its connection frees that memory. */
  onMemoryShort (): void {
    if (this.#raw.bytesRead - this.#bytesAtMessage < MAX_UNFINISHED_BYTES) return
    this.close(TRY_AGAIN_LATER, 'the server is short of memory', 'SHED_MEMORY_BYTES')
    // The close is deliberate: it must not count against WS_CLOSE_MS.
    this.#isClosing = false
    this.destroy()
  }

  #onSent (): void {
    if (!this.#socket.isPaused) return
    // While paused, its pong is not read; taking the waiting bytes is a sign of life too.
    this.#isAlive = true
    if (!this.isBehind) this.#socket.resume()
  }

  onMessage (message: Buffer, isBinary: boolean): void {
    this.connection.received(message.length)
    this.#bytesAtMessage = this.#raw.bytesRead
    if (this.#isTooFast()) return
    this.#isAlive = true
    try {
      const receiver = this.#receiver
      if (typeof receiver === 'function') receiver(message, isBinary)
      else receiver?.message?.(message, isBinary)
    } catch (err) {
      this.#onServiceError(err)
    }
  }

  /** Called for a ping, which ws has answered, or a pong. */
  onControl (): void {
    if (this.#isTooFast() || this.#isTooFarBehind()) return
    this.#isAlive = true
    this.#cork.in()
  }

  /** The client broke the protocol, or its connection broke; `onClose` follows. */
  onError (error: NodeJS.ErrnoException): void {
    const limit = LIMITS[error.code ?? '']
    // ws has sent its close frame.
    this.#isClosing = true
    if (limit) this.connection.crossed(limit)
    else this.connection.failed(error)
  }

  onClose (code: number): void {
    this.#onClosed()
    // After a protocol error ws reads no close frame, so the client's FIN counts as its answer.
    if (code === ABNORMAL && this.#isClosing && !this.#raw.errored && !this.#raw.readableEnded) this.connection.crossed('WS_CLOSE_MS')
    const receiver = this.#receiver
    if (receiver && typeof receiver !== 'function') this.#guard(() => receiver.close?.())
    this.connection.closed(`close code ${code}`)
  }

  #isTooFarBehind (): boolean {
    if (this.#socket.bufferedAmount <= this.#limits.maxUnsentBytes) return false
    this.connection.destroyFor('WS_MAX_UNSENT_BYTES', 'reads too slowly')
    return true
  }

  /** Closes a client that exceeds its rate, and destroys it if it goes on sending after the close frame. */
  #isTooFast (): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      if (++this.#late === this.#limits.rate.burst) this.destroy()
      return true
    }
    if (this.#rate.take(performance.now())) return false
    this.close(POLICY_VIOLATION, `more than ${this.#limits.rate.perSecond} messages a second`, 'WS_RATE')
    return true
  }

  /** A service that throws loses only this client. */
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

function onClose (this: Held, code: number): void { this[SESSION]?.onClose(code) }
function onError (this: Held, error: Error): void { this[SESSION]?.onError(error) }
function onControl (this: Held): void { this[SESSION]?.onControl() }
// binaryType is nodebuffer, ws's default.
function onMessage (this: Held, data: RawData, isBinary: boolean): void { this[SESSION]?.onMessage(data as Buffer, isBinary) }
