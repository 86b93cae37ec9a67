/** An endpoint: one address at which a service is reached, its state, and its counters. */
import type { Example, Transport } from './service.ts'
import { Tally } from './tally.ts'

/** `off`: switched off. `busy`: its default port was taken, so it was skipped. `draining`: shutting down. */
export type EndpointState = 'closed' | 'open' | 'busy' | 'off' | 'draining'

/** The setting that a port came from: `isSet` tells a port that somebody chose from a default. */
export interface PortOrigin {
  readonly variable: string
  readonly port: number | null
  readonly isSet: boolean
}

export interface EndpointDescription {
  readonly name: string
  readonly transport: Transport
  readonly summary: string
  readonly example: Example
  /** The path of a WebSocket service. */
  readonly path?: string
}

export class Endpoint {
  readonly name: string
  readonly transport: Transport
  readonly summary: string
  readonly example: Example
  readonly path: string | undefined
  readonly origin: PortOrigin
  address: string
  /** The bound port, or, before and without a bind, the wanted one; null where the service is off. */
  port: number | null
  state: EndpointState
  /** Why it could not be bound. */
  error: NodeJS.ErrnoException | null = null
  /** Connections open now; always 0 for UDP. */
  open = 0
  /** Connections, or datagrams received, since the start. */
  total = 0
  bytesIn = 0
  bytesOut = 0
  /** Connections and requests turned away, and datagrams left unanswered, because of a limit or a guard. */
  refused = 0
  /** Of UDP: datagrams that were answered. */
  answered = 0
  /** `refused`, by the limit's name or the guard's. */
  readonly refusals = new Tally()
  /** Limits that were crossed once inside, by name. */
  readonly crossings = new Tally()
  /** Connections and answers that failed, by the error's code. */
  readonly errors = new Tally()

  constructor (description: EndpointDescription, origin: PortOrigin, address: string) {
    this.name = description.name
    this.transport = description.transport
    this.summary = description.summary
    this.example = description.example
    this.path = description.path
    this.origin = origin
    this.address = address
    this.port = origin.port
    this.state = origin.port === null ? 'off' : 'closed'
  }

  /** Runs `bind` and notes how it went. A failure is kept in `error`, so that a start can name all of them at once. */
  async bind (bind: (port: number) => Promise<number>): Promise<void> {
    if (this.origin.port === null) return
    try {
      this.port = await bind(this.origin.port)
      this.state = 'open'
    } catch (error) {
      this.error = error as NodeJS.ErrnoException
      if (this.error.code === 'EADDRINUSE') this.state = 'busy'
    }
  }

  /** Whether the failed bind is to stop the start: everything but a busy default port. */
  get isFatal (): boolean {
    return this.error !== null && (this.state !== 'busy' || this.origin.isSet)
  }
}
