/** Every open connection of one app: sweeps for crossed time limits, drains, and logs refusals. */
import type { Peer } from '../service.ts'
import type { SampledLog } from '../log/sampled-log.ts'
import { Connection, feedEvent } from './connection.ts'
import type { Endpoint } from './endpoint.ts'
import type { Feed } from './feed.ts'

/** What a runner provides for each of its connections. */
export interface Owner {
  /** Ends the connection at once. */
  destroy (): unknown
  /** Ends the connection as soon as it can end cleanly: the server is shutting down. */
  drain (): void
  /** Called by every sweep: ends the connection if it has crossed a time limit. */
  sweep? (now: number): void
}

export class Connections {
  readonly log: SampledLog
  readonly feed: Feed
  /** Whether an address is the probe's. */
  isProbe = (_peer: string): boolean => false
  /**
   * An array in which each connection knows its place. Not a Map or a Set: V8 keeps their outgrown tables, and the connections
   * in them, until the next full collection.
   */
  readonly #open: Connection[] = []
  readonly #sweep: NodeJS.Timeout
  #last = 0
  #onEmpty = () => {}

  constructor (log: SampledLog, feed: Feed, sweepMs: number) {
    this.log = log
    this.feed = feed
    this.#sweep = setInterval(() => {
      const now = performance.now()
      for (const { owner } of [...this.#open]) owner.sweep?.(now)
    }, sweepMs).unref()
  }

  /**
   * Counts and publishes a new connection.
   * @param id the number to keep, for a connection that was upgraded.
   */
  open (endpoint: Endpoint, peer: Peer, owner: Owner, id: number = ++this.#last): Connection {
    const connection = new Connection(this, endpoint, peer, owner, id)
    connection.place = this.#open.push(connection) - 1
    return connection
  }

  /** The probe's own connections. */
  get probing (): Connection[] {
    return this.#open.filter(({ peer }) => this.isProbe(peer))
  }

  /** Called by a connection that has ended. */
  forget (connection: Connection): void {
    if (this.isProbe(connection.peer)) {
      const { probe } = connection.endpoint
      probe.total++
      probe.bytesIn += connection.bytesIn
      probe.bytesOut += connection.bytesOut
    }
    const last = this.#open.pop()
    if (last && last !== connection) {
      this.#open[connection.place] = last
      last.place = connection.place
    }
    if (this.#open.length === 0) this.#onEmpty()
  }

  /** Counts a client or datagram that a limit or guard turned away. Logs at most once a second for each endpoint. */
  refuse (endpoint: Endpoint, reason: string, peer: string, bytes?: number): void {
    endpoint.refused++
    endpoint.refusals.add(reason)
    if (this.feed.isWatched) this.feed.publish(feedEvent('refuse', endpoint, 0, peer, { bytes, reason }))
    this.log.trouble('warn', endpoint, { peer, reason }, 'refused')
  }

  /** Counts a failed system call on a service's own socket, such as accept or send. Logs at most once a second for each endpoint. */
  failed (endpoint: Endpoint, err: NodeJS.ErrnoException, message: string): void {
    endpoint.errors.add(err.code ?? err.name)
    this.log.trouble('error', endpoint, { err }, message)
  }

  drain (): void {
    for (const { owner } of [...this.#open]) owner.drain()
  }

  destroyAll (): void {
    for (const connection of [...this.#open]) connection.destroy('drain deadline')
  }

  /** Resolves once no connection is open. */
  async drained (): Promise<void> {
    if (this.#open.length > 0) await new Promise<void>((resolve) => { this.#onEmpty = resolve })
    clearInterval(this.#sweep)
  }
}
