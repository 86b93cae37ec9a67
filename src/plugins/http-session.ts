/** One HTTP client: its requests under way, its silence, and an end that loses no answer. */
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
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

/** The session of the HTTP client on a stream; undefined where there is none, as with `inject`, or none any more. */
export const sessionOf = (stream: Duplex): HttpSession | undefined => (stream as Held)[SESSION]

export class HttpSession implements Owner {
  readonly connection: Connection
  /** Requests without their answers on the wire, those without one at all, all requests, and the last one. */
  requests = 0
  unanswered = 0
  total = 0
  last: IncomingMessage | undefined
  isLastAnswered = false
  /** Answers for which the client's FIN waits: see half-close.ts. */
  held = 0
  /** The last answer is on its way or out: what the client sends behind it is discarded. */
  isEnding = false
  /** Node.js has stopped reading HTTP: the next answer is the last one, if there is one. */
  isHandedOver = false
  readonly #client: Client
  readonly #limits: Config['http']
  readonly #silence: Silence
  #bytesRead = 0
  #bytesWritten = 0
  #lingersSince: number | undefined
  #onAnswered: { readonly act: () => void, readonly left: number } | undefined
  /** When the last request got its answer. */
  #answeredAt = Infinity

  constructor (client: Client, endpoint: Endpoint, connections: Connections, limits: Config['http']) {
    this.#client = client
    this.#limits = limits
    this.connection = connections.open(endpoint, client.peer, this)
    this.#silence = new Silence(client.socket, () => this.#onSilent())
    Object.assign(client.stream, { [SESSION]: this, destroySoon: linger })
  }

  /** @param server Node.js documents its 'connection' event for streams that it has not accepted itself. */
  start (server: Server): void {
    const { stream } = this.#client
    server.emit('connection', stream)
    // After those of Node.js, whose parser knows more of why it ends.
    stream.on('end', onEnd).on('close', onClose).on('error', onError)
  }

  get peer (): Peer {
    return this.#client.peer
  }

  get stream (): Socket {
    return this.#client.stream as Socket
  }

  /** Counts the bytes that went over the connection since the last time. */
  count (): void {
    const { bytesRead, bytesWritten } = this.stream
    if (bytesRead > this.#bytesRead) this.connection.received(bytesRead - this.#bytesRead)
    if (bytesWritten > this.#bytesWritten) this.connection.sent(bytesWritten - this.#bytesWritten)
    this.#bytesRead = bytesRead
    this.#bytesWritten = bytesWritten
  }

  /** A request has got its answer. */
  answered (): void {
    this.requests--
    this.count()
    if (this.requests === 0) this.#answeredAt = performance.now()
    if (!this.#onAnswered || this.requests > this.#onAnswered.left) return
    const { act } = this.#onAnswered
    this.#onAnswered = undefined
    act()
  }

  /** Does something once every request so far has its answer, or all but `left`; of several things only the last. */
  afterAnswers (act: () => void, left = 0): void {
    if (this.requests <= left) act()
    else this.#onAnswered = { act, left }
  }

  /**
   * Sends the last bytes and a FIN, and reads on until the client's: closing over unread bytes would reset the connection, and
   * the end of the answer could be lost (RFC 9112, section 9.6). Node.js's server calls it instead of `destroySoon`.
   */
  linger (lastBytes = ''): void {
    this.isEnding = true
    if (this.#lingersSince !== undefined || this.stream.destroyed) return
    this.#lingersSince = Infinity
    this.stream.end(lastBytes, () => { this.#lingersSince = performance.now() })
    this.stream.resume()
  }

  /** The WebSocket that the connection has become keeps its number. */
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
    // One that waits for an answer, or has begun to ask, gets it, with `Connection: close`.
    if (this.requests === 0 && this.stream.bytesRead === this.#bytesRead) this.linger()
  }

  sweep (now: number): void {
    if (this.#lingersSince !== undefined && now - this.#lingersSince >= LINGER_MS) this.destroy()
    // Empty lines before a request line are bytes, and no request (RFC 9112, section 2.2): silence alone would wait for ever.
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
    // The stream's next owner has its own.
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
function onEnd (this: Held): void { this[SESSION]?.connection.because('closed by client') }
function onClose (this: Held): void { this[SESSION]?.onClose() }
// Node.js's server tells of it, too ('clientError'), except after an upgrade.
function onError (this: Held): void {}
