/** One WebSocket client: what every WebSocket service needs and none should have to write. */
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
/** Of a message that has not come whole, what may stay while memory is short. */
const MAX_UNFINISHED_BYTES = 65_536

/** The errors of ws that mean a crossed limit. */
const LIMITS: Readonly<Record<string, string>> = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: 'WS_MAX_MESSAGE_BYTES',
  WS_ERR_TOO_MANY_BUFFERED_PARTS: 'WS_MAX_FRAGMENTS'
}

/** How ws is told what a message is. */
const BINARY = { binary: true }
const TEXT = { binary: false }

/** A WebSocket knows its session, so that all of them share the same listeners. */
const SESSION = Symbol('session')
type Held = WebSocket & { [SESSION]?: WebSocketSession }

/** The session on a WebSocket; undefined where it was refused. */
export const webSocketSessionOf = (socket: WebSocket): WebSocketSession | undefined => (socket as Held)[SESSION]

/** A client that has shaken hands. */
export interface Opened {
  readonly socket: WebSocket
  /** The connection below it. */
  readonly raw: Socket
  readonly peer: Peer
  readonly endpoint: Endpoint
  /** The number that the connection had with HTTP. */
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
   * Kept as the service gave it. If an object were made here for each client, V8 would soon allocate it in the old generation,
   * where it would keep a client that has gone until the next full collection.
   */
  #receiver: ReturnType<WebSocketService['onConnection']> = undefined
  /** Whether it gave a sign of life since the last beat. */
  #isAlive = true
  /** Whether a close frame was sent that the client has to answer. */
  #isClosing = false
  /** Messages that came after the close frame was sent. */
  #late = 0
  /** What had been read when the last message was whole. */
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
    // A callback for each message costs as much as counting it.
    const mayBeBehind = socket.bufferedAmount + bytes > this.#limits.pauseBytes
    this.#cork.in()
    socket.send(message, isBinary ? BINARY : TEXT, mayBeBehind ? () => this.#onSent() : undefined)
    this.connection.sent(bytes)
    if (!mayBeBehind) return
    this.#cork.out()
    // A client that does not read is not read.
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

  /** The next beat: a client that gave no sign of life since the last one is ended. A message that never ends is none. */
  ping (): void {
    if (!this.#isAlive) return this.connection.destroyFor('WS_PING_MS', 'no pong')
    this.#isAlive = false
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  /** Gives back what an unfinished message holds: together they may hold more than there is. */
  onMemoryShort (): void {
    if (this.#raw.bytesRead - this.#bytesAtMessage < MAX_UNFINISHED_BYTES) return
    this.close(TRY_AGAIN_LATER, 'the server is short of memory', 'SHED_MEMORY_BYTES')
    // Nothing else gives back what it holds.
    this.#isClosing = false
    this.destroy()
  }

  #onSent (): void {
    if (!this.#socket.isPaused) return
    // Its pong waits unread, but a client that takes what was held back for it is there.
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

  /** A ping, which ws has answered, or a pong. */
  onControl (): void {
    if (this.#isTooFast() || this.#isTooFarBehind()) return
    this.#isAlive = true
    this.#cork.in()
  }

  /** The client broke the protocol or its connection broke: `onClose` follows. */
  onError (error: NodeJS.ErrnoException): void {
    const limit = LIMITS[error.code ?? '']
    // ws has sent its close frame.
    this.#isClosing = true
    if (limit) this.connection.crossed(limit)
    else this.connection.failed(error)
  }

  onClose (code: number): void {
    this.#onClosed()
    // Once ws has refused what a client sent, it hears no answer; the client's FIN is one.
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

  /** Ends a client that sends more than it may: with a close frame, and without one if it goes on as if it had not come. */
  #isTooFast (): boolean {
    if (this.#socket.readyState !== this.#socket.OPEN) {
      if (++this.#late === this.#limits.rate.burst) this.destroy()
      return true
    }
    if (this.#rate.take(performance.now())) return false
    this.close(POLICY_VIOLATION, `more than ${this.#limits.rate.perSecond} messages a second`, 'WS_RATE')
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

function onClose (this: Held, code: number): void { this[SESSION]?.onClose(code) }
function onError (this: Held, error: Error): void { this[SESSION]?.onError(error) }
function onControl (this: Held): void { this[SESSION]?.onControl() }
// binaryType is nodebuffer, ws's default.
function onMessage (this: Held, data: RawData, isBinary: boolean): void { this[SESSION]?.onMessage(data as Buffer, isBinary) }
