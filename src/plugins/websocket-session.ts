/** One WebSocket client: what every WebSocket service needs and none should have to write. */
import type { RawData, WebSocket } from 'ws'
import { reasonOf, type Connection } from '../connections.ts'
import type { Peer, WebSocketClient, WebSocketReceiver, WebSocketService } from '../service.ts'

/** Unsent bytes above which a client is not read any more; see also `isBehind`. */
const HIGH_WATER_BYTES = 262_144

export class WebSocketSession implements WebSocketClient {
  readonly remote: Peer
  readonly #socket: WebSocket
  readonly #connection: Connection
  #receiver: WebSocketReceiver = {}
  #isAlive = true

  constructor (socket: WebSocket, remote: Peer, connection: Connection) {
    this.remote = remote
    this.#socket = socket
    this.#connection = connection
  }

  start (service: WebSocketService): void {
    this.#socket.on('close', (code) => {
      this.#guard(() => this.#receiver.close?.())
      this.#connection.closed(`close code ${code}`)
    })
    this.#guard(() => {
      const receiver = service.onConnection(this)
      if (typeof receiver === 'function') this.#receiver = { message: receiver }
      else if (receiver) this.#receiver = receiver
    })
    const alive = () => { this.#isAlive = true }
    this.#socket.on('pong', alive).on('ping', alive)
    this.#socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary))
  }

  /** The next beat: a client that gave no sign of life since the last one is ended. A message that never ends is none. */
  ping (): void {
    if (!this.#isAlive) return this.#connection.destroy('no pong: WS_PING_MS')
    this.#isAlive = false
    if (this.#socket.readyState === this.#socket.OPEN) this.#socket.ping()
  }

  /** The client broke the protocol or its connection broke: `closed` follows. */
  failed (error: Error): void {
    this.#connection.because(reasonOf(error))
  }

  get isBehind (): boolean {
    return this.#socket.bufferedAmount > HIGH_WATER_BYTES
  }

  send (message: Uint8Array | string, isBinary = typeof message !== 'string'): void {
    const socket = this.#socket
    if (socket.readyState !== socket.OPEN) return
    socket.send(message, { binary: isBinary }, this.#onSent)
    this.#connection.sent(Buffer.byteLength(message))
    // A client that does not read is not read.
    if (this.isBehind) socket.pause()
  }

  close (code: number, reason: string): void {
    this.#connection.because(reason)
    this.#socket.close(code, reason)
  }

  readonly #onSent = (): void => {
    if (!this.#socket.isPaused) return
    // Its pong waits unread, but a client that takes what was held back for it is there.
    this.#isAlive = true
    if (!this.isBehind) this.#socket.resume()
  }

  #onMessage (data: RawData, isBinary: boolean): void {
    const message = data as Buffer // binaryType is nodebuffer, ws's default
    this.#isAlive = true
    this.#connection.received(message.length)
    this.#guard(() => this.#receiver.message?.(message, isBinary))
  }

  /** A service that throws loses this one client and no other (1011: RFC 6455, section 7.4.1). */
  #guard (step: () => void): void {
    try {
      step()
    } catch (err) {
      this.#connection.log.error({ err }, 'the service failed')
      this.#connection.because('service failed')
      this.#socket.close(1011, 'service failed')
    }
  }
}
