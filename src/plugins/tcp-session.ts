/** One TCP client: what every TCP service needs and none should have to write. */
import type { Socket } from 'node:net'
import type { Config } from '../config.ts'
import type { Connection } from '../connections.ts'
import type { Peer, TcpClient, TcpReceiver, TcpService } from '../service.ts'
import { endIfSilent } from './net-server.ts'

/** How long a draining server waits for a silent client to answer its FIN. */
const DRAIN_SILENCE_MS = 1000

export class TcpSession implements TcpClient {
  readonly remote: Peer
  readonly #socket: Socket
  readonly connection: Connection
  readonly #limits: Config['tcp']
  #receiver: TcpReceiver = {}
  #isEnding = false
  #finTimer: NodeJS.Timeout | undefined

  constructor (socket: Socket, remote: Peer, connection: Connection, limits: Config['tcp']) {
    this.remote = remote
    this.#socket = socket
    this.connection = connection
    this.#limits = limits
  }

  start (service: TcpService): void {
    const socket = this.#socket
    socket.on('error', (error) => this.connection.failed(error))
    socket.on('close', () => {
      clearTimeout(this.#finTimer)
      this.connection.closed('closed by service')
    })
    socket.setTimeout(this.#limits.idleMs, () => endIfSilent(socket, () => this.connection.destroyFor('TCP_IDLE_MS', 'idle')))
    this.#guard(() => {
      const receiver = service.onConnection(this)
      if (typeof receiver === 'function') this.#receiver = { data: receiver }
      else if (receiver) this.#receiver = receiver
    })
    socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('drain', () => socket.resume())
    socket.on('end', () => this.#onFin())
  }

  write (data: Uint8Array | string): void {
    // Destroyed: by its limit, a moment ago.
    if (this.#isEnding || this.#socket.destroyed) return
    this.#socket.write(data)
    this.connection.sent(Buffer.byteLength(data))
    if (this.connection.bytesOut > this.#limits.maxBytes) this.connection.destroyFor('TCP_MAX_BYTES', 'sent too much')
  }

  end (data?: Uint8Array | string): void {
    if (this.#isEnding) return
    if (data !== undefined) this.write(data)
    this.#isEnding = true
    const socket = this.#socket
    socket.end()
    // Once the FIN is out, unread input must still be read: closing over it would send an RST, which may
    // destroy the answer on its way (RFC 9293, section 3.10.4; RFC 2525, section 2.17). Not for ever, though.
    socket.once('finish', () => {
      if (socket.destroyed || socket.readableEnded) return
      socket.resume()
      this.#finTimer = setTimeout(() => this.connection.destroyFor('TCP_FIN_MS', 'no FIN from client'), this.#limits.finMs)
    })
  }

  /** The server shuts down: the client gets what was written to it, a FIN, and a moment to answer that. */
  drain (): void {
    const socket = this.#socket
    this.connection.because('server draining')
    this.end()
    const quieten = () => socket.setTimeout(DRAIN_SILENCE_MS, () => socket.destroy())
    if (socket.writableFinished) quieten()
    else socket.once('finish', quieten)
  }

  #onData (chunk: Buffer): void {
    this.connection.received(chunk.length)
    if (this.connection.bytesIn > this.#limits.maxBytes) return this.connection.destroyFor('TCP_MAX_BYTES', 'received too much')
    const receiver = this.#receiver
    if (this.#isEnding || !receiver.data) {
      const bytes = chunk.length
      release(chunk)
      if (!this.#isEnding) this.#guard(() => receiver.count?.(bytes))
      return
    }
    this.#guard(() => receiver.data?.(chunk))
    // A client that does not read is not read: its own window fills, and our memory does not.
    if (this.#socket.writableNeedDrain) this.#socket.pause()
  }

  #onFin (): void {
    this.connection.halfClosed()
    if (this.#isEnding) return
    this.connection.because('closed by client')
    this.#guard(() => this.#receiver.end?.())
    if (!this.#receiver.end) this.end()
  }

  /** A service that throws loses this one client and no other. */
  #guard (step: () => void): void {
    try {
      step()
    } catch (err) {
      this.connection.log.error({ err }, 'the service failed')
      this.connection.destroy('service failed')
    }
  }
}

/**
 * Frees a chunk that nobody holds. Left to the garbage collector, 130 MB into sink cost 75–86 MiB of memory on
 * Node.js 24. Node.js 20 has no `transfer` yet, and collects in time: 31–38 MiB.
 */
function release ({ buffer, byteLength }: Buffer): void {
  // A small chunk may share its memory with others.
  if (buffer.byteLength === byteLength) (buffer as ArrayBuffer & { transfer?: (bytes: number) => ArrayBuffer }).transfer?.(0)
}
