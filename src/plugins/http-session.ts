/** One HTTP client: what is counted of it, and when it has been silent for too long. */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { Config } from '../config.ts'
import type { Connection } from '../connections.ts'
import type { Member } from '../roster.ts'
import type { HttpReader } from './http-reader.ts'
import { endIfSilent } from './net-server.ts'

/** A socket knows its session: three look-ups a request less. */
type SessionSocket = Socket & { session?: HttpSession | undefined }

/** The session of the HTTP client on a socket; undefined where there is none, as with `inject`, or none any more. */
export const sessionOf = (socket: Socket): HttpSession | undefined => (socket as SessionSocket).session

export class HttpSession implements Member {
  rosterIndex = -1
  readonly connection: Connection
  readonly reader: HttpReader
  /** Requests without their answers, all requests, and the last one. */
  requests = 0
  total = 0
  last: IncomingMessage | undefined
  readonly #socket: SessionSocket
  readonly #limits: Config['http']
  #bytesRead = 0
  #bytesWritten = 0
  /** The bytes that had been moved when the sweep saw it move, and when that was. */
  #seenBytes = 0
  #seenAt = performance.now()

  constructor (socket: Socket, connection: Connection, reader: HttpReader, limits: Config['http']) {
    this.#socket = Object.assign(socket, { session: this, setTimeout: noTimeout })
    this.connection = connection
    this.reader = reader
    this.#limits = limits
  }

  /** Counts the bytes that went over the socket since the last time. */
  count (): void {
    const { bytesRead, bytesWritten } = this.#socket
    if (bytesRead > this.#bytesRead) this.connection.received(bytesRead - this.#bytesRead)
    if (bytesWritten > this.#bytesWritten) this.connection.sent(bytesWritten - this.#bytesWritten)
    this.#bytesRead = bytesRead
    this.#bytesWritten = bytesWritten
  }

  /** The server shuts down, and this client waits for nothing. */
  drain (): void {
    this.connection.because('server draining')
    this.#socket.destroySoon()
  }

  /** To be called as the socket closes, or is HTTP's no longer. */
  end (reason: string): void {
    this.count()
    this.#socket.session = undefined
    this.#socket.setTimeout = setTimeout
    this.connection.closed(reason)
  }

  /** Ends the client if it has neither sent nor been sent anything for too long. */
  sweep (now: number): void {
    const socket = this.#socket
    const bytes = socket.bytesRead + socket.bytesWritten
    if (bytes !== this.#seenBytes) {
      this.#seenBytes = bytes
      this.#seenAt = now
    } else if (socket.writableLength > 0) {
      // Node.js's timer knows how much of an answer the client has taken.
      if (!socket.timeout) setTimeout.call(socket, this.#limits.idleMs, this.#onTimeout)
    } else if (socket.timeout) {
      // The answer is out: silence begins now.
      setTimeout.call(socket, 0, this.#onTimeout)
      this.#seenAt = now
    } else if (now - this.#seenAt >= (this.#isBetweenRequests ? this.#limits.keepAliveMs : this.#limits.idleMs)) {
      endIfSilent(socket, this.#onTimeout)
    }
  }

  get #isBetweenRequests (): boolean {
    return this.requests === 0 && this.total > 0
  }

  readonly #onTimeout = (): void => {
    this.connection.destroyFor(this.#isBetweenRequests ? 'HTTP_KEEP_ALIVE_MS' : 'HTTP_IDLE_MS', 'idle')
  }
}

const { setTimeout } = Socket.prototype

/**
 * Node.js sets and resets a timer with each request, a twentieth of a short answer. One look at all clients a second does as well, and
 * where Node.js does not ask the socket itself for it, takes the timer off.
 */
function noTimeout (this: Socket): Socket { return this }
