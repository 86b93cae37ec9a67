/** Opens ports: one number on several addresses, on all of them or on none. Retries busy default ports. */
import type { Config } from '../config/config.ts'
import type { Host } from '../config/hosts.ts'
import { Endpoint, Location, type BindError, type EndpointDescription, type EndpointState } from '../traffic/endpoint.ts'

export interface Opened {
  readonly port: number
  /** Stops listening; resolves when the port is free again. */
  close (): Promise<void>
  /** Follows added and removed addresses. */
  refresh? (): Promise<void>
}

/** Opens one address; rejects with Node's error (EADDRINUSE, EACCES, …). */
export type Open = (address: string, port: number) => Promise<Opened>

export interface OpenedPort {
  readonly port: number
  readonly addresses: readonly string[]
  readonly opened: readonly Opened[]
}

const UNAVAILABLE = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']
/** How many free ports of the first address are tried on the others. */
const ATTEMPTS = 20

/** @param port 0 for any port that is free on every address. Rejects with the first error, which names its address. */
export async function openPort (hosts: readonly Host[], port: number, open: Open): Promise<OpenedPort> {
  for (let attempt = 1; ; attempt++) {
    const opened: Opened[] = []
    const addresses: string[] = []
    try {
      for (const { address, isOptional } of hosts) {
        try {
          opened.push(await open(address, opened[0]?.port ?? port))
          addresses.push(address)
        } catch (error) {
          const { code = '' } = error as BindError
          if (!isOptional || !UNAVAILABLE.includes(code)) throw Object.assign(error as BindError, { address })
        }
      }
      return { port: opened[0]?.port ?? port, addresses, opened }
    } catch (error) {
      await Promise.all(opened.map((one) => one.close()))
      if (port !== 0 || opened.length === 0 || (error as BindError).code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}

/** Time between two retries of busy default ports and checks for new addresses. */
const RETRY_MS = 3000

interface Log { info (fields: object, message: string): void }

interface Served {
  readonly endpoint: Endpoint
  readonly open: Open
  opened: readonly Opened[]
}

export class Ports {
  readonly #config: Config
  readonly #log: Log
  readonly #all: Served[] = []
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor (config: Config, log: Log) {
    this.#config = config
    this.#log = log
  }

  /** Makes an endpoint for each port in a service's setting, or one that is `off` if there is none. */
  endpointsOf (description: EndpointDescription): Endpoint[] {
    const setting = this.#config.ports[description.name]
    if (!setting) throw new Error(`no port setting for the service ${description.name}`)
    const { variable, isSet } = setting
    const ports = setting.ports.length > 0 ? setting.ports : [null]
    return ports.map((port) => new Endpoint(description, new Location({ variable, port, isSet }, this.#config.hosts[0]?.address ?? '')))
  }

  add (endpoint: Endpoint, open: Open): void {
    this.#all.push({ endpoint, open, opened: [] })
  }

  /** Opens everything. Failures are recorded in the endpoints, so that the start can name all of them at once. */
  async open (): Promise<void> {
    for (const served of this.#all) await this.#open(served)
    this.#timer = setTimeout(this.#look, RETRY_MS).unref()
  }

  /** Stops listening at once. A second call does nothing. */
  async close (): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#timer)
    const opened = this.#all.flatMap((served) => served.opened)
    for (const served of this.#all) served.opened = []
    await Promise.all(opened.map((one) => one.close()))
  }

  async #open (served: Served): Promise<void> {
    const { location } = served.endpoint
    if (location.origin.port === null) return
    try {
      const { port, addresses, opened } = await openPort(this.#config.hosts, location.origin.port, served.open)
      served.opened = opened
      Object.assign(location, { port, addresses, state: 'open', error: null })
    } catch (error) {
      location.error = error as BindError
      if (location.error.code === 'EADDRINUSE') location.state = 'busy'
    }
  }

  readonly #look = async (): Promise<void> => {
    for (const served of this.#all) {
      const { endpoint, opened } = served
      if (this.#isClosed) return
      if (endpoint.state === 'busy') {
        await this.#open(served)
        // A drain began meanwhile: close the port again.
        if (this.#isClosed) return await this.close()
        // The cast is needed because #open has changed the state.
        if ((endpoint.state as EndpointState) !== 'open') continue
        endpoint.location.hadAt = Date.now()
        this.#log.info({ service: endpoint.name, transport: endpoint.transport, port: endpoint.port }, 'the port is free now: listening')
      } else {
        for (const one of opened) await one.refresh?.()
      }
    }
    this.#timer = setTimeout(this.#look, RETRY_MS).unref()
  }
}
