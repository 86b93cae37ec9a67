/** An endpoint: one port of a service with its addresses, state and counters. */
import type { Example, Transport } from '../service.ts'
import { Tally } from './tally.ts'

/** `off`: switched off. `busy`: the port is taken; a default port is tried again. `draining`: shutting down. */
export type EndpointState = 'closed' | 'open' | 'busy' | 'off' | 'draining'

/** The setting that a port came from; `isSet` is false for a default. */
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

/** Why a port could not be opened, and on which address. */
export type BindError = NodeJS.ErrnoException & { address?: string }

/** A port and its addresses. HTTP shares its location with the WebSocket services. */
export class Location {
  readonly origin: PortOrigin
  /** The bound addresses; before the bind, the first wanted one. */
  addresses: readonly string[]
  /** The bound port, or the wanted one if it is not bound; null if the service is off. */
  port: number | null
  state: EndpointState
  error: BindError | null = null
  /** When the port came free (milliseconds since the epoch), if it was in use at the start. */
  hadAt: number | undefined

  constructor (origin: PortOrigin, wanted: string) {
    this.origin = origin
    this.addresses = [wanted]
    this.port = origin.port
    this.state = origin.port === null ? 'off' : 'closed'
  }

  /** Whether the failed bind stops the start: always, except for a busy default port. */
  get isFatal (): boolean {
    return this.error !== null && (this.state !== 'busy' || this.origin.isSet)
  }
}

export class Endpoint {
  readonly name: string
  readonly transport: Transport
  readonly summary: string
  readonly example: Example
  readonly path: string | undefined
  readonly location: Location
  /** Connections open now; always 0 for UDP. */
  open = 0
  /** Connections, or datagrams received, since the start. */
  total = 0
  bytesIn = 0
  bytesOut = 0
  /** Connections and requests turned away, and datagrams left unanswered, because of a limit or a guard. */
  refused = 0
  /** The probe's share of these counters (ended connections and datagrams), which the page leaves out. */
  readonly probe = { total: 0, bytesIn: 0, bytesOut: 0 }
  /** UDP only: answered datagrams. */
  answered = 0
  /** `refused` by the name of the limit or guard. */
  readonly refusals = new Tally()
  /** Limits crossed by admitted clients, by name. */
  readonly crossings = new Tally()
  /** Failed connections and answers, by error code. */
  readonly errors = new Tally()

  constructor (description: EndpointDescription, location: Location) {
    this.name = description.name
    this.transport = description.transport
    this.summary = description.summary
    this.example = description.example
    this.path = description.path
    this.location = location
  }

  /** The first address. */
  get address (): string { return this.location.addresses[0] ?? '' }
  get addresses (): readonly string[] { return this.location.addresses }
  get port (): number | null { return this.location.port }
  get state (): EndpointState { return this.location.state }
}
