/** One HTTP client: counts its requests, ends it when it is silent, and closes without losing an answer. */
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { Config } from '../config/config.ts'
import type { Peer } from '../service.ts'
import type { Connection } from '../traffic/connection.ts'
import type { Connections, Owner } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { Silence } from '../traffic/silence.ts'
import type { Client } from '../wire/index.ts'

/** How long a client may take to answer the server's FIN. */
const LINGER_MS = 2000

const SESSION = Symbol('session')
type Held = Duplex & { [SESSION]?: HttpSession | undefined }

/** The session of the HTTP client on a stream; undefined for `inject` and after the session's end. */
export const sessionOf = (stream: Duplex): HttpSession | undefined => (stream as Held)[SESSION]

export class HttpSession implements Owner {
  readonly connection: Connection
  /** Requests whose answer is not on the wire yet. */
  requests = 0
  /** Requests for which no answer was begun. */
  unanswered = 0
  /** All requests so far. */
  total = 0
  last: IncomingMessage | undefined
  isLastAnswered = false
  /** Answers that hold the client's FIN back; see half-close.ts. */
  held = 0
  /** The last answer was begun: anything the client sends after it is discarded. */
  isEnding = false
  /** Node.js wanted to end the connection while answers were on their way: see `endAfterAnswers`. */
  isEndWanted = false
  /** Node.js has stopped reading HTTP: any further answer is the last one. */
  isHandedOver = false
  readonly #client: Client
  readonly #limits: Config['http']
  readonly #silence: Silence
  #bytesRead = 0
  #bytesWritten = 0
  #lingersSince: number | undefined
  #onAnswered: { readonly act: () => void, readonly left: number } | undefined
  /** When the last request was answered. */
  #answeredAt = Infinity

  constructor (client: Client, endpoint: Endpoint, connections: Connections, limits: Config['http']) {
    this.#client = client
    this.#limits = limits
    this.connection = connections.open(endpoint, client.peer, this)
    this.#silence = new Silence(client.socket, () => this.#onSilent())
    Object.assign(client.stream, { [SESSION]: this, destroySoon: linger, end: endAfterAnswers })
  }

  /** @param server gets the stream by its 'connection' event, which Node.js documents for this. */
  start (server: Server): void {
    const { stream } = this.#client
    server.emit('connection', stream)
    // After Node.js's own listeners: its parser knows better why a connection ends.
    stream.on('end', onEnd).on('close', onClose).on('error', onError)
  }

  get peer (): Peer {
    return this.#client.peer
  }

  get stream (): Socket {
    return this.#client.stream as Socket
  }

  /** Counts the bytes since the last call. */
  count (): void {
    const { bytesRead, bytesWritten } = this.stream
    if (bytesRead > this.#bytesRead) this.connection.received(bytesRead - this.#bytesRead)
    if (bytesWritten > this.#bytesWritten) this.connection.sent(bytesWritten - this.#bytesWritten)
    this.#bytesRead = bytesRead
    this.#bytesWritten = bytesWritten
  }

  /** Called when a request is answered. */
  answered (): void {
    this.requests--
    this.count()
    if (this.requests === 0) {
      this.#answeredAt = performance.now()
      if (this.isEndWanted) this.stream.end()
    }
    if (!this.#onAnswered || this.requests > this.#onAnswered.left) return
    const { act } = this.#onAnswered
    this.#onAnswered = undefined
    act()
  }

  /** Calls `act` once all requests so far, or all but `left`, are answered. A later call replaces an earlier one. */
  afterAnswers (act: () => void, left = 0): void {
    if (this.requests <= left) act()
    else this.#onAnswered = { act, left }
  }

  /**
   * Sends the last bytes and a FIN, and reads until the client's FIN: closing with unread bytes would reset the connection, and
   * the end of the answer could be lost (RFC 9112, section 9.6). It replaces `destroySoon`, which Node.js's server calls.
   */
  linger (lastBytes = ''): void {
    this.isEnding = true
    if (this.#lingersSince !== undefined || this.stream.destroyed) return
    this.#lingersSince = Infinity
    this.stream.end(lastBytes, () => { this.#lingersSince = performance.now() })
    this.stream.resume()
  }

  /** Ends the session of a connection that becomes a WebSocket. Returns its number, which the WebSocket keeps. */
  upgrade (): number {
    this.#client.leave()
    this.#end('upgraded')
    return this.connection.id
  }

  destroy (): void {
    this.stream.destroy()
  }

  drain (): void {
    this.connection.because('server draining')
    // A client that waits for an answer, or has begun a request, gets its answer first, with `Connection: close`.
    if (this.requests === 0 && this.stream.bytesRead === this.#bytesRead) this.linger()
  }

  sweep (now: number): void {
    if (this.#lingersSince !== undefined && now - this.#lingersSince >= LINGER_MS) this.destroy()
    // Empty lines before a request line are bytes but no request (RFC 9112, section 2.2), so silence alone is not enough.
    else if (this.#isBetweenRequests && this.last?.complete && now - this.#answeredAt >= this.#limits.keepAliveMs + this.#limits.headersMs) this.#onSilent()
    else this.#silence.check(now, this.#isBetweenRequests ? this.#limits.keepAliveMs : this.#limits.idleMs)
  }

  get #isBetweenRequests (): boolean {
    return this.requests === 0 && this.total > 0
  }

  #onSilent (): void {
    this.connection.destroyFor(this.#isBetweenRequests ? 'HTTP_KEEP_ALIVE_MS' : 'HTTP_IDLE_MS', 'idle')
  }

  onClose (): void {
    this.#end('closed by service')
  }

  #end (reason: string): void {
    const { stream } = this
    this.count()
    // The stream's next owner adds its own listeners.
    stream.off('end', onEnd).off('close', onClose).off('error', onError)
    Object.assign(stream, { [SESSION]: undefined })
    this.connection.closed(reason)
  }
}

function linger (this: Held): void {
  const session = this[SESSION]
  if (session) session.linger()
  else this.end()
}
/**
 * Node.js ends the connection as soon as it has read the client's FIN. Answers that wait for a client that reads slowly would be
 * lost: the end waits for them.
 */
function endAfterAnswers (this: Held, ...args: unknown[]): Held {
  const session = this[SESSION]
  if (session && session.requests > 0 && args.length === 0) session.isEndWanted = true
  else Duplex.prototype.end.apply(this, args as Parameters<Duplex['end']>)
  return this
}

function onEnd (this: Held): void { this[SESSION]?.connection.because('closed by client') }
function onClose (this: Held): void { this[SESSION]?.onClose() }
// Handled by 'clientError', which Node.js's server emits, except after an upgrade.
function onError (this: Held): void {}
