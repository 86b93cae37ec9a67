/** One TCP client: limits, counters, backpressure and half-close for every TCP service. */
import type { Duplex } from 'node:stream'
import type { Config } from '../config/config.ts'
import type { Peer, TcpClient, TcpService } from '../service.ts'
import type { Connection } from '../traffic/connection.ts'
import type { Connections, Owner } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { Silence } from '../traffic/silence.ts'
import type { Client } from '../wire/index.ts'

/** The most that Node.js reads at once: after a full read, other clients get a turn first. */
const FULL_READ_BYTES = 65_536
/** Longest wait of a draining server for a silent client to answer its FIN. */
const DRAIN_SILENCE_MS = 1000

/** Stored on the stream, so that all streams share the same listeners. */
const SESSION = Symbol('session')
type Held = Duplex & { [SESSION]?: TcpSession }

export class TcpSession implements TcpClient, Owner {
  readonly remote: Peer
  readonly connection: Connection
  readonly #stream: Held
  readonly #limits: Config['tcp']
  readonly #isProbe: (peer: string) => boolean
  readonly #silence: Silence
  /** Kept as the service returned it; WebSocketSession says why. */
  #receiver: ReturnType<TcpService['onConnection']> = undefined
  /** `end` was called: nothing more is written, and input is discarded. */
  #isEnding = false
  /** The client has unread bytes waiting: the server does not read from it until they are gone. */
  #isBehind = false
  #isDraining = false
  /** When the server's FIN was sent, if the client's had not come by then. */
  #finSentAt: number | undefined

  constructor ({ stream, socket, peer }: Client, endpoint: Endpoint, connections: Connections, limits: Config['tcp'], isProbe: (peer: string) => boolean) {
    this.remote = peer
    this.#stream = Object.assign(stream, { [SESSION]: this })
    this.#limits = limits
    this.#isProbe = isProbe
    this.connection = connections.open(endpoint, peer, this)
    this.#silence = new Silence(socket, () => this.#onSilent())
  }

  start (service: TcpService): void {
    this.#stream.on('error', onError).on('close', onClose).on('finish', onFinSent)
    this.#guard(() => { this.#receiver = service.onConnection(this) })
    this.#stream.on('end', onFin).on('data', onData)
  }

  write (data: Uint8Array | string): void {
    const stream = this.#stream
    // The stream is destroyed if an earlier write crossed TCP_MAX_BYTES.
    if (this.#isEnding || stream.destroyed) return
    const hasRoom = stream.write(data)
    this.connection.sent(Buffer.byteLength(data))
    if (this.connection.bytesOut > this.#limits.maxBytes) return this.connection.destroyFor('TCP_MAX_BYTES', 'sent too much')
    // A large chunk exceeds the high-water mark, but there is no 'drain' to wait for if the system took it at once.
    if (hasRoom || this.#isBehind || stream.writableLength === 0) return
    this.#isBehind = true
    stream.pause()
    stream.once('drain', onDrain)
  }

  end (data?: Uint8Array | string): void {
    if (this.#isEnding) return
    if (data !== undefined) this.write(data)
    this.#isEnding = true
    this.#stream.end()
  }

  destroy (): void {
    this.#stream.destroy()
  }

  /** The client gets the bytes written so far, a FIN, and a moment to answer it. */
  drain (): void {
    this.#isDraining = true
    this.connection.because('server draining')
    this.end()
  }

  sweep (now: number): void {
    if (this.#finSentAt !== undefined && now - this.#finSentAt >= this.#limits.finMs) {
      return this.connection.destroyFor('TCP_FIN_MS', 'no FIN from client')
    }
    if (now - this.connection.openedAt >= this.#limits.lifeMs && !this.#isProbe(this.connection.peer)) {
      return this.connection.destroyFor('TCP_LIFE_MS', 'lived too long')
    }
    this.#silence.check(now, this.#isDraining && this.#stream.writableFinished ? DRAIN_SILENCE_MS : this.#limits.idleMs)
  }

  #onSilent (): void {
    if (this.#isDraining) this.destroy()
    else this.connection.destroyFor('TCP_IDLE_MS', this.#stream.writableLength > 0 ? 'did not read its answer' : 'idle')
  }

  onData (chunk: Buffer): void {
    this.connection.received(chunk.length)
    if (this.connection.bytesIn > this.#limits.maxBytes) return this.connection.destroyFor('TCP_MAX_BYTES', 'received too much')
    if (!this.#isEnding) this.#deliver(chunk)
    if (chunk.length < FULL_READ_BYTES) return
    this.#stream.pause()
    setImmediate(() => { if (!this.#isBehind) this.#stream.resume() })
  }

  onDrain (): void {
    this.#isBehind = false
    this.#stream.resume()
  }

  /**
   * After the server's FIN, input must still be read: closing with unread input would send an RST, which may destroy the answer
   * on its way (RFC 9293, section 3.10.4; RFC 2525, section 2.17). TCP_FIN_MS bounds this.
   */
  onFinSent (): void {
    const stream = this.#stream
    if (stream.destroyed || stream.readableEnded) return
    this.onDrain()
    this.#finSentAt = performance.now()
  }

  onFin (): void {
    this.connection.halfClosed()
    if (this.#isEnding) return
    this.connection.because('closed by client')
    const receiver = this.#receiver
    if (receiver && typeof receiver !== 'function' && receiver.end) this.#guard(() => receiver.end?.())
    else this.end()
  }

  #deliver (chunk: Buffer): void {
    try {
      const receiver = this.#receiver
      if (typeof receiver === 'function') receiver(chunk)
      else receiver?.data?.(chunk)
    } catch (err) {
      this.#failed(err)
    }
  }

  /** A service that throws loses only this client. */
  #guard (step: () => void): void {
    try {
      step()
    } catch (err) {
      this.#failed(err)
    }
  }

  #failed (err: unknown): void {
    this.connection.log.error({ err }, 'the service failed')
    this.connection.destroy('service failed')
  }
}

function onData (this: Held, chunk: Buffer): void { this[SESSION]?.onData(chunk) }
function onDrain (this: Held): void { this[SESSION]?.onDrain() }
function onFin (this: Held): void { this[SESSION]?.onFin() }
function onFinSent (this: Held): void { this[SESSION]?.onFinSent() }
function onError (this: Held, error: Error): void { this[SESSION]?.connection.failed(error) }
function onClose (this: Held): void { this[SESSION]?.connection.closed('closed by service') }
