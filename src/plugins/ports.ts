/** Opens every port before the app is ready, tries busy default ports again, and closes them all. */
import type { FastifyBaseLogger } from 'fastify'
import type { Config } from '../config/config.ts'
import { Endpoint, Location, type BindError, type EndpointDescription, type EndpointState } from '../traffic/endpoint.ts'
import { openPort, type Open, type Opened } from '../wire/port.ts'

/** How often busy default ports are tried again, and interfaces are looked at for new addresses. */
const RETRY_MS = 3000

interface Served {
  readonly endpoint: Endpoint
  readonly open: Open
  opened: readonly Opened[]
}

export class Ports {
  readonly #config: Config
  readonly #log: FastifyBaseLogger
  readonly #all: Served[] = []
  #timer: NodeJS.Timeout | undefined
  #isClosed = false

  constructor (config: Config, log: FastifyBaseLogger) {
    this.#config = config
    this.#log = log
  }

  /** One endpoint for each port that the settings give a service; one that is `off` where they give none. */
  endpointsOf (description: EndpointDescription): Endpoint[] {
    const setting = this.#config.ports[description.name]
    if (!setting) throw new Error(`no port setting for the service ${description.name}`)
    const { variable, isSet } = setting
    const ports = setting.ports.length > 0 ? setting.ports : [null]
    return ports.map((port) => new Endpoint(description, new Location({ variable, port, isSet }, this.#config.hosts[0]?.address ?? '')))
  }

  /** @param open opens one address of the endpoint. */
  add (endpoint: Endpoint, open: Open): void {
    this.#all.push({ endpoint, open, opened: [] })
  }

  /** Opens everything. What cannot be opened is noted in its endpoint, so that a start can name all of it at once. */
  async open (): Promise<void> {
    for (const served of this.#all) await this.#open(served)
    this.#timer = setTimeout(this.#look, RETRY_MS).unref()
  }

  /** Stops listening, at once. A second call has nothing to do. */
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
        // Opened behind the back of a drain that began meanwhile.
        if (this.#isClosed) return await this.close()
        // Another value by now than the one that was looked at.
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
