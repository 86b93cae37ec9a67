/** One open connection: its number, its counters, its events in the feed, and its log line at the end. */
import type { FastifyBaseLogger } from 'fastify'
import type { Peer } from '../service.ts'
import { formatAddress, network } from '../shared/address.ts'
import type { FeedEvent } from '../shared/messages.ts'
import type { Connections, Owner } from './connections.ts'
import type { Endpoint } from './endpoint.ts'

export class Connection {
  readonly id: number
  readonly peer: string
  /** The address that the limits count. */
  readonly network: string
  readonly endpoint: Endpoint
  readonly owner: Owner
  /** Index in the list of open connections; only Connections uses it. */
  place = -1
  readonly #all: Connections
  readonly #openedAt = performance.now()
  #bytesIn = 0
  #bytesOut = 0
  #reason: string | undefined
  #log: FastifyBaseLogger | undefined
  #isClosed = false

  constructor (all: Connections, endpoint: Endpoint, peer: Peer, owner: Owner, id: number) {
    this.#all = all
    this.endpoint = endpoint
    this.peer = formatAddress(peer.address, peer.port)
    this.network = network(peer.address)
    this.id = id
    this.owner = owner
    endpoint.open++
    endpoint.total++
    this.#publish('connect')
  }

  get #bindings () {
    return { service: this.endpoint.name, connection: this.id, peer: this.peer }
  }

  /** Created lazily: most connections log only their last line, which does not need it. */
  get log (): FastifyBaseLogger {
    this.#log ??= this.#all.log.logger.child(this.#bindings)
    return this.#log
  }

  /** Logs a line about the client, within the share of its address. */
  tell (fields: object, message: string): void {
    const { log } = this.#all
    if (log.admits(this.network)) log.line(this.log, fields, message)
  }

  get openedAt (): number { return this.#openedAt }
  get bytesIn (): number { return this.#bytesIn }
  get bytesOut (): number { return this.#bytesOut }

  received (bytes: number): void {
    this.#bytesIn += bytes
    this.endpoint.bytesIn += bytes
    this.#publish('receive', { bytes })
  }

  sent (bytes: number): void {
    this.#bytesOut += bytes
    this.endpoint.bytesOut += bytes
    this.#publish('send', { bytes })
  }

  halfClosed (): void {
    this.#publish('half-close')
  }

  /** Records why the connection is ending; the first reason stands. */
  because (reason: string): void {
    this.#reason ??= reason
  }

  destroy (reason: string): void {
    this.because(reason)
    this.owner.destroy()
  }

  /** The client crossed a limit: counts it, and records it as the reason for the end that follows. */
  crossed (limit: string, how?: string): void {
    this.endpoint.crossings.add(limit)
    this.because(how === undefined ? limit : `${how}: ${limit}`)
  }

  /** Like `crossed`, and ends the connection at once. */
  destroyFor (limit: string, how?: string): void {
    this.crossed(limit, how)
    this.owner.destroy()
  }

  /** The connection broke, or its client broke the protocol: counts the error, and records it as the reason for the end. */
  failed (error: NodeJS.ErrnoException): void {
    this.endpoint.errors.add(error.code ?? error.name)
    this.because(reasonOf(error))
  }

  /** The connection has ended: logs one line. A second call does nothing. */
  closed (reason: string): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.because(reason)
    this.#all.forget(this)
    this.endpoint.open--
    this.#publish('close', { bytesIn: this.#bytesIn, bytesOut: this.#bytesOut, reason: this.#reason })
    const { log } = this.#all
    if (!log.admits(this.network)) return
    log.line(log.logger, {
      ...this.#bindings,
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
      durationMs: Math.round(performance.now() - this.#openedAt),
      reason: this.#reason
    }, 'connection closed')
  }

  #publish (type: FeedEvent['type'], details?: Details): void {
    if (this.#all.feed.isWatched) this.#all.feed.publish(feedEvent(type, this.endpoint, this.id, this.peer, details))
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ECONNRESET: 'reset by client',
  EPIPE: 'reset by client',
  ETIMEDOUT: 'client unreachable'
}

/** Turns a socket's error into a reason in words. */
function reasonOf (error: NodeJS.ErrnoException): string {
  return REASONS[error.code ?? ''] ?? error.code ?? error.message
}

type Details = { readonly [K in 'bytes' | 'bytesIn' | 'bytesOut' | 'reason']?: FeedEvent[K] | undefined }

/** Makes an event of the feed; the shape is the same for every protocol. */
export function feedEvent (type: FeedEvent['type'], endpoint: Endpoint, connection: number, peer: string, details: Details = {}): FeedEvent {
  return { at: Date.now(), type, transport: endpoint.transport, service: endpoint.name, connection, peer, ...details } as FeedEvent
}
