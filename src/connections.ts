/** Every open connection of one app: its number, its counters, its events in the feed, and the line that is logged at its end. */
import type { FastifyBaseLogger } from 'fastify'
import { formatAddress, network } from './address.ts'
import type { Endpoint } from './endpoint.ts'
import type { Feed, FeedEvent } from './feed.ts'
import { Roster, type Member } from './roster.ts'
import type { SampledLog } from './sampled-log.ts'
import type { Peer } from './service.ts'

export interface Destroyable { destroy (): unknown }

export class Connections {
  readonly log: SampledLog
  readonly feed: Feed
  readonly #open = new Roster<Connection>()
  #last = 0
  #onEmpty = () => {}

  constructor (log: SampledLog, feed: Feed) {
    this.log = log
    this.feed = feed
  }

  /**
   * Counts and publishes a new connection.
   * @param owner ends it at once: destroyed for a limit, and when a drain has run out of time.
   * @param id the number to keep, for a connection that was upgraded.
   */
  open (endpoint: Endpoint, peer: Peer, owner: Destroyable, id: number = ++this.#last): Connection {
    const connection = new Connection(this, endpoint, peer, owner, id)
    this.#open.add(connection)
    return connection
  }

  /** To be called by a connection that has ended. */
  forget (connection: Connection): void {
    this.#open.delete(connection)
    if (this.#open.size === 0) this.#onEmpty()
  }

  /** Counts what a limit or a guard turned away; logs it at most once a second an endpoint. */
  refuse (endpoint: Endpoint, reason: string, peer: string): void {
    endpoint.refused++
    endpoint.refusals.add(reason)
    if (this.feed.isWatched) this.feed.publish(event('refuse', endpoint, 0, peer, undefined, reason))
    this.log.trouble('warn', endpoint, { peer, reason }, 'refused')
  }

  /** Counts what the system refused to a service's own socket: to accept, to send. Logs it at most once a second an endpoint. */
  failed (endpoint: Endpoint, err: NodeJS.ErrnoException, message: string): void {
    endpoint.errors.add(err.code ?? err.name)
    this.log.trouble('error', endpoint, { err }, message)
  }

  /** Resolves once no connection is open: its line is logged then, too. */
  async drained (): Promise<void> {
    if (this.#open.size > 0) await new Promise<void>((resolve) => { this.#onEmpty = resolve })
  }

  destroyAll (): void {
    for (const connection of this.#open) connection.destroy('drain deadline')
  }
}

export class Connection implements Member {
  rosterIndex = -1
  readonly id: number
  readonly peer: string
  /** What the limits count as its address. */
  readonly network: string
  readonly endpoint: Endpoint
  readonly #all: Connections
  readonly #owner: Destroyable
  readonly #openedAt = performance.now()
  #bytesIn = 0
  #bytesOut = 0
  #reason: string | undefined
  #log: FastifyBaseLogger | undefined
  #isClosed = false

  constructor (all: Connections, endpoint: Endpoint, peer: Peer, owner: Destroyable, id: number) {
    this.#all = all
    this.endpoint = endpoint
    this.peer = formatAddress(peer.address, peer.port)
    this.network = network(peer.address)
    this.id = id
    this.#owner = owner
    endpoint.open++
    endpoint.total++
    this.#publish('connect')
  }

  get #bindings () {
    return { service: this.endpoint.name, connection: this.id, peer: this.peer }
  }

  /** Made on first use: most connections log one line in their life, and that without it. */
  get log (): FastifyBaseLogger {
    this.#log ??= this.#all.log.logger.child(this.#bindings)
    return this.#log
  }

  get ageMs (): number {
    return performance.now() - this.#openedAt
  }

  get bytesIn (): number {
    return this.#bytesIn
  }

  get bytesOut (): number {
    return this.#bytesOut
  }

  received (bytes: number): void {
    this.#bytesIn += bytes
    this.endpoint.bytesIn += bytes
    this.#publish('receive', bytes)
  }

  sent (bytes: number): void {
    this.#bytesOut += bytes
    this.endpoint.bytesOut += bytes
    this.#publish('send', bytes)
  }

  halfClosed (): void {
    this.#publish('half-close')
  }

  /** Whether a reason for its end is known. */
  get isEnding (): boolean {
    return this.#reason !== undefined
  }

  /** Notes why the connection is ending; the first reason stands. */
  because (reason: string): void {
    this.#reason ??= reason
  }

  destroy (reason: string): void {
    this.because(reason)
    this.#owner.destroy()
  }

  /** The client crossed a limit: counts it, and notes it as the reason for the end that follows. */
  crossed (limit: string, how?: string): void {
    this.endpoint.crossings.add(limit)
    this.because(how === undefined ? limit : `${how}: ${limit}`)
  }

  /** As `crossed`; and ends the connection at once. */
  destroyFor (limit: string, how?: string): void {
    this.crossed(limit, how)
    this.#owner.destroy()
  }

  /** The connection broke, or its client broke the protocol: counts the error, and notes it as the reason for the end that follows. */
  failed (error: NodeJS.ErrnoException): void {
    this.endpoint.errors.add(error.code ?? error.name)
    this.because(reasonOf(error))
  }

  /** The end of the connection: logs its one line. A second call does nothing. */
  closed (reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.because(reason)
    this.#all.forget(this)
    this.endpoint.open--
    this.#publish('close', undefined, this.#reason)
    const { log } = this.#all
    if (!log.admits(this.network)) return
    log.line(log.logger, {
      ...this.#bindings,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: Math.round(this.ageMs),
      reason: this.#reason
    }, 'connection closed')
  }

  #publish (type: FeedEvent['type'], bytes?: number, reason?: string): void {
    if (this.#all.feed.isWatched) this.#all.feed.publish(event(type, this.endpoint, this.id, this.peer, bytes, reason))
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNRESET: 'reset by client',
  EPIPE: 'reset by client',
  ETIMEDOUT: 'client unreachable'
}

/** Why a connection ended, in words, from the error that its socket gave. */
export function reasonOf (error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ''] ?? error.code ?? error.message
}

/** One event of the feed, of the same shape on every protocol. */
export function event (
  type: FeedEvent['type'], endpoint: Endpoint, connection: number, peer: string, bytes?: number, reason?: string
): FeedEvent {
  return {
    at: Date.now(),
    type,
    transport: endpoint.transport,
    service: endpoint.name,
    connection,
    peer,
    ...(bytes !== undefined && { bytes }),
    ...(reason !== undefined && { reason })
  }
}
