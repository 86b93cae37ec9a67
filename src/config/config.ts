/** Reads the settings from the environment and from flags into one Config, or into one error that names every problem. */
import { rawServices } from '../sockets/index.ts'
import { ConfigError } from './config-error.ts'
import { DEFAULT_HOSTS, parseHosts, type Host } from './hosts.ts'
import { isLimit, portVariable, settings } from './settings.ts'
import { parseOrigins, parsePorts, validate } from './validation.ts'

export interface PortSetting {
  readonly variable: string
  /** Empty if the service is off; 0 stands for a free port. */
  readonly ports: readonly number[]
  /** Whether somebody chose these ports. A chosen port that is busy stops the start. */
  readonly isSet: boolean
}

/** A rate limit: how many a second, and how many at once. */
export interface RateSetting {
  readonly perSecond: number
  readonly burst: number
}

export interface Config {
  /** The addresses every service listens on; the first one is shown to people. */
  readonly hosts: readonly Host[]
  readonly logLevel: string
  /** Whether visitors of the page may block the loop and run clients. */
  readonly lab: boolean
  /** Origins, besides this server's own, whose pages may use the feed and the lab: `https://lab.example`. */
  readonly origins: readonly string[]
  /** Whether every limit is raised, for measurements. */
  readonly isBench: boolean
  /** The variables of the settings that somebody gave. */
  readonly given: ReadonlySet<string>
  /** Variables that Kubernetes set; they were ignored. */
  readonly ignored: readonly string[]
  readonly drainMs: number
  readonly drainDelayMs: number
  /** By the service's name, including `http`. */
  readonly ports: Readonly<Record<string, PortSetting>>
  readonly http: {
    readonly maxConnections: number
    readonly maxPerAddress: number
    readonly maxRequests: number
    readonly maxPipelined: number
    readonly rate: RateSetting
    readonly maxBodyBytes: number
    readonly maxHeaderBytes: number
    readonly maxHeaders: number
    readonly headersMs: number
    readonly requestMs: number
    readonly idleMs: number
    readonly keepAliveMs: number
  }
  readonly websocket: {
    readonly maxConnections: number
    readonly maxPerAddress: number
    readonly rate: RateSetting
    readonly maxMessageBytes: number
    readonly maxFragments: number
    readonly pauseBytes: number
    readonly maxUnsentBytes: number
    readonly pingMs: number
    readonly closeMs: number
  }
  readonly tcp: {
    readonly maxConnections: number
    readonly maxPerAddress: number
    readonly idleMs: number
    readonly lifeMs: number
    readonly maxBytes: number
    readonly finMs: number
  }
  readonly udp: { readonly maxBytes: number, readonly rate: RateSetting, readonly totalRate: number }
  readonly maxAddresses: number
  /** Every limit's value, by its name. */
  readonly limits: Readonly<Record<string, number>>
  readonly logRate: RateSetting
  readonly shed: { readonly delayMs: number, readonly memoryBytes: number }
}

export type Values = Readonly<Record<string, string | undefined>>

/**
 * Reads the settings. A flag (by its variable's name) wins over the environment; an empty variable counts as not set.
 * Throws a ConfigError.
 */
export function loadConfig (env: Values = {}, flags: Values = {}): Config {
  const given: Record<string, string> = {}
  const ignored: string[] = []
  for (const name of Object.keys(settings)) {
    const value = flags[name] ?? (env[name] === '' ? undefined : env[name])
    if (value === undefined) continue
    if (flags[name] === undefined && isServiceLink(name, value)) ignored.push(name)
    else given[name] = value
  }
  const isGiven = new Set(Object.keys(given))
  if (given.PROFILE === 'bench') {
    for (const [name, { bench }] of Object.entries(settings)) if (bench !== undefined) given[name] ??= String(bench)
  }
  const portSettings = readPorts(given, isGiven)
  const { values, problems } = validate(given, (name) => flags[name] !== undefined)
  problems.push(...findClashes(portSettings))
  if (problems.length > 0) throw new ConfigError(problems)

  return {
    hosts: given.HOST === undefined ? DEFAULT_HOSTS : parseHosts(values.HOST) ?? DEFAULT_HOSTS,
    logLevel: values.LOG_LEVEL,
    lab: values.LAB === 'on',
    origins: parseOrigins(values.ORIGINS) ?? [],
    isBench: values.PROFILE === 'bench',
    given: isGiven,
    ignored,
    drainMs: values.DRAIN_MS,
    drainDelayMs: values.DRAIN_DELAY_MS,
    ports: portSettings,
    http: {
      maxConnections: values.HTTP_MAX_CONNECTIONS,
      maxPerAddress: values.HTTP_MAX_PER_ADDRESS,
      maxRequests: values.HTTP_MAX_REQUESTS,
      maxPipelined: values.HTTP_MAX_PIPELINED,
      rate: { perSecond: values.HTTP_RATE, burst: values.HTTP_BURST },
      maxBodyBytes: values.HTTP_MAX_BODY_BYTES,
      maxHeaderBytes: values.HTTP_MAX_HEADER_BYTES,
      maxHeaders: values.HTTP_MAX_HEADERS,
      headersMs: values.HTTP_HEADERS_MS,
      requestMs: values.HTTP_REQUEST_MS,
      idleMs: values.HTTP_IDLE_MS,
      keepAliveMs: values.HTTP_KEEP_ALIVE_MS
    },
    websocket: {
      maxConnections: values.WS_MAX_CONNECTIONS,
      maxPerAddress: values.WS_MAX_PER_ADDRESS,
      rate: { perSecond: values.WS_RATE, burst: values.WS_BURST },
      maxMessageBytes: values.WS_MAX_MESSAGE_BYTES,
      maxFragments: values.WS_MAX_FRAGMENTS,
      pauseBytes: values.WS_PAUSE_BYTES,
      maxUnsentBytes: values.WS_MAX_UNSENT_BYTES,
      pingMs: values.WS_PING_MS,
      closeMs: values.WS_CLOSE_MS
    },
    tcp: {
      maxConnections: values.TCP_MAX_CONNECTIONS,
      maxPerAddress: values.TCP_MAX_PER_ADDRESS,
      idleMs: values.TCP_IDLE_MS,
      lifeMs: values.TCP_LIFE_MS,
      maxBytes: values.TCP_MAX_BYTES,
      finMs: values.TCP_FIN_MS
    },
    udp: { maxBytes: values.UDP_MAX_BYTES, rate: { perSecond: values.UDP_RATE, burst: values.UDP_BURST }, totalRate: values.UDP_TOTAL_RATE },
    maxAddresses: values.MAX_ADDRESSES,
    limits: Object.fromEntries(Object.entries(values).filter(([name]) => isLimit(name))) as Record<string, number>,
    logRate: { perSecond: values.LOG_RATE, burst: values.LOG_BURST },
    shed: { delayMs: values.SHED_DELAY_MS, memoryBytes: values.SHED_MEMORY_BYTES }
  }
}

/** `ECHO_PORT=tcp://10.96.0.1:80`: Kubernetes sets it in every pod beside a Service called `echo`. */
function isServiceLink (name: string, value: string): boolean {
  return name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(value)
}

/** Malformed ports count as none here; `validate` reports them. */
function readPorts (given: Record<string, string>, isGiven: ReadonlySet<string>): Record<string, PortSetting> {
  return Object.fromEntries(['http', ...rawServices.map((service) => service.name)].map((name) => {
    const variable = portVariable(name)
    const text = given[variable] ?? String(settings[variable]?.default)
    return [name, { variable, ports: parsePorts(text) ?? [], isSet: isGiven.has(variable) }]
  }))
}

/** Finds ports that two services, or one service twice, ask for on one transport. HTTP counts as TCP. */
function findClashes (all: Readonly<Record<string, PortSetting>>): string[] {
  const clashes: string[] = []
  const owners = new Map<string, { variable: string, isSet: boolean }>()
  for (const [name, setting] of Object.entries(all)) {
    const transport = rawServices.find((service) => service.name === name)?.transport ?? 'tcp'
    for (const port of setting.ports) {
      if (port === 0) continue
      const key = `${transport} ${port}`
      const owner = owners.get(key)
      const say = ({ variable, isSet }: { variable: string, isSet: boolean }) => `${variable}${isSet ? '' : ' (default)'}`
      if (owner) clashes.push(`${say(owner)} and ${say(setting)} both ask for ${transport} port ${port}: give one of them another port, or off`)
      else owners.set(key, setting)
    }
  }
  return clashes
}
