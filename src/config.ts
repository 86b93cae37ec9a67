/** Every setting, once: its name, type, default, range and meaning, and how it is read. */
import { isIP } from 'node:net'
import { envSchema } from 'env-schema'
import Type, { type TSchema } from 'typebox'
import { rawServices } from './sockets/index.ts'

const MAX_PORTS = 8

const milliseconds = (value: number, minimum: number, maximum: number, description: string) =>
  Type.Integer({ default: value, minimum, maximum, description })
const count = milliseconds
const ports = (defaults: readonly number[], of: string) =>
  Type.String({ default: defaults.join(','), format: 'ports', description: `Ports of ${of}` })

/** `udp-echo` → `UDP_ECHO_PORT`. */
export const portVariable = (service: string): string => `${service.toUpperCase().replaceAll('-', '_')}_PORT`
/** `UDP_ECHO_PORT` → `--udp-echo-port`. */
export const flag = (variable: string): string => `--${variable.toLowerCase().replaceAll('_', '-')}`

const fixed = Type.Object({
  HOST: Type.String({ default: '127.0.0.1', format: 'ip', description: 'Address to listen on; 0.0.0.0 or :: for all' }),
  LOG_LEVEL: Type.Enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], { default: 'info', description: 'Least important log lines to write' }),
  LAB: Type.Enum(['on', 'off'], { default: 'on', description: 'Block, Wait, Worker, Run it and the probe; off where strangers reach the page' }),
  DRAIN_MS: milliseconds(10_000, 1000, 600_000, 'Time to shut down in, whatever clients do'),
  HTTP_MAX_CONNECTIONS: count(1500, 1, 100_000, 'Open connections of each HTTP port, WebSockets among them'),
  HTTP_MAX_BODY_BYTES: count(1_048_576, 0, 1_073_741_824, 'Largest request body'),
  HTTP_HEADERS_MS: milliseconds(10_000, 100, 600_000, 'Time for a request\'s headers to arrive'),
  HTTP_REQUEST_MS: milliseconds(15_000, 100, 600_000, 'Time for a whole request to arrive'),
  HTTP_IDLE_MS: milliseconds(30_000, 100, 600_000, 'Time without a byte within a request or its answer'),
  HTTP_KEEP_ALIVE_MS: milliseconds(72_000, 1, 3_600_000, 'Idle time of a kept-alive HTTP connection'),
  WS_MAX_MESSAGE_BYTES: count(1_048_576, 1, 104_857_600, 'Largest WebSocket message'),
  WS_PING_MS: milliseconds(30_000, 100, 600_000, 'Time between two pings; silence from one to the next ends a client'),
  WS_CLOSE_MS: milliseconds(3000, 100, 60_000, 'Time for a client to answer a close frame'),
  TCP_MAX_CONNECTIONS: count(256, 1, 100_000, 'Open connections of each TCP port'),
  TCP_IDLE_MS: milliseconds(60_000, 100, 86_400_000, 'Time without a byte before a TCP connection ends'),
  TCP_FIN_MS: milliseconds(10_000, 100, 600_000, 'Time for a TCP client to close after the server\'s FIN'),
  UDP_MAX_BYTES: count(1472, 1, 65_507, 'Largest datagram that is answered')
})

const { HOST, ...others } = fixed.properties
export const settings: Record<string, TSchema & Documented> = {
  HOST,
  HTTP_PORT: ports([5001], '`http`'),
  ...Object.fromEntries(rawServices.map((s) => [portVariable(s.name), ports(s.ports, `\`${s.name}\``)])),
  ...others
}

interface Documented {
  default?: unknown
  description?: string
  format?: string
  enum?: readonly unknown[]
  minimum?: number
  maximum?: number
}

export interface PortSetting {
  readonly variable: string
  /** Empty where the service is off; 0 stands for a free port. */
  readonly ports: readonly number[]
  /** Whether somebody chose these ports. A busy port that was chosen stops the start. */
  readonly isSet: boolean
}

export interface Config {
  readonly host: string
  readonly logLevel: string
  /** Whether visitors of the page may block the loop and have clients run. */
  readonly lab: boolean
  readonly drainMs: number
  /** By the service's name; `http` among them. */
  readonly ports: Readonly<Record<string, PortSetting>>
  readonly http: {
    readonly maxConnections: number
    readonly maxBodyBytes: number
    readonly headersMs: number
    readonly requestMs: number
    readonly idleMs: number
    readonly keepAliveMs: number
  }
  readonly websocket: { readonly maxMessageBytes: number, readonly pingMs: number, readonly closeMs: number }
  readonly tcp: { readonly maxConnections: number, readonly idleMs: number, readonly finMs: number }
  readonly udp: { readonly maxBytes: number }
}

/** Names every problem of the settings at once, a line each. */
export class ConfigError extends Error {
  readonly code = 'ERR_CONFIG'
  readonly problems: readonly string[]

  constructor (problems: readonly string[]) {
    super(`the settings are not right:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export type Values = Readonly<Record<string, string | undefined>>

/**
 * Reads the settings. A flag (by its variable's name) wins over the environment; an empty variable counts as not set.
 * Throws a ConfigError.
 */
export function loadConfig (env: Values = {}, flags: Values = {}): Config {
  const given: Record<string, string> = {}
  for (const name of Object.keys(settings)) {
    const value = flags[name] ?? (env[name] === '' ? undefined : env[name])
    if (value !== undefined) given[name] = value
  }
  const portSettings = readPorts(given)
  const { values, problems } = validate(given, flags)
  problems.push(...findClashes(portSettings))
  if (problems.length > 0) throw new ConfigError(problems)

  return {
    host: values.HOST,
    logLevel: values.LOG_LEVEL,
    lab: values.LAB === 'on',
    drainMs: values.DRAIN_MS,
    ports: portSettings,
    http: {
      maxConnections: values.HTTP_MAX_CONNECTIONS,
      maxBodyBytes: values.HTTP_MAX_BODY_BYTES,
      headersMs: values.HTTP_HEADERS_MS,
      requestMs: values.HTTP_REQUEST_MS,
      idleMs: values.HTTP_IDLE_MS,
      keepAliveMs: values.HTTP_KEEP_ALIVE_MS
    },
    websocket: { maxMessageBytes: values.WS_MAX_MESSAGE_BYTES, pingMs: values.WS_PING_MS, closeMs: values.WS_CLOSE_MS },
    tcp: { maxConnections: values.TCP_MAX_CONNECTIONS, idleMs: values.TCP_IDLE_MS, finMs: values.TCP_FIN_MS },
    udp: { maxBytes: values.UDP_MAX_BYTES }
  }
}

type Read = Type.Static<typeof fixed> & Record<string, unknown>

function validate (given: Record<string, string>, flags: Values): { values: Read, problems: string[] } {
  // Numbers are checked here first: the validator alone would let "0x10" and "Infinity" pass.
  const isUnreadable = (name: string) => settings[name]?.minimum !== undefined && !/^\d{1,15}$/.test(given[name] ?? '0')
  const wrong = new Set(Object.keys(given).filter(isUnreadable))
  let values = {} as Read
  try {
    values = envSchema<Read>({
      schema: { type: 'object', properties: settings },
      data: Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name))),
      env: false,
      ajv: { customOptions: (ajv) => ajv.addFormat('ip', (text) => isIP(text) !== 0).addFormat('ports', (text) => parsePorts(text) !== null) }
    })
  } catch (error) {
    const { errors } = error as { errors?: { instancePath: string }[] }
    if (!errors) throw error
    for (const { instancePath } of errors) wrong.add(instancePath.slice(1))
  }
  const problems = Object.keys(given).filter((name) => wrong.has(name)).map((name) => {
    const source = flags[name] === undefined ? '' : ` (from ${flag(name)})`
    return `${name}=${JSON.stringify(given[name])}${source} must be ${allowed(settings[name] as Documented)}`
  })
  return { values, problems }
}

/** Ports that do not read count as none here: `validate` tells of them. */
function readPorts (given: Record<string, string>): Record<string, PortSetting> {
  return Object.fromEntries(['http', ...rawServices.map((service) => service.name)].map((name) => {
    const variable = portVariable(name)
    const text = given[variable] ?? String(settings[variable]?.default)
    return [name, { variable, ports: parsePorts(text) ?? [], isSet: variable in given }]
  }))
}

/** `off` → [], `9999,10000` → both, anything else → null. */
function parsePorts (text: string): number[] | null {
  if (text === 'off') return []
  if (!/^\d{1,5}(,\d{1,5})*$/.test(text)) return null
  const list = text.split(',').map(Number)
  return list.length <= MAX_PORTS && list.every((port) => port <= 65_535) ? list : null
}

/** Two services, or one twice, on one port of one transport. HTTP is TCP here. */
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

/** What a setting may be, in words: `a whole number from 100 to 600000`. */
function allowed (setting: Documented): string {
  if (setting.enum) return `one of ${setting.enum.join(', ')}`
  if (setting.format === 'ip') return 'an IP address, such as 127.0.0.1, 0.0.0.0 or ::'
  if (setting.format === 'ports') return `off, 0 for a free port, or ports from 1 to 65535 (at most ${MAX_PORTS}, joined by commas)`
  return `a whole number from ${setting.minimum} to ${setting.maximum}`
}

/** The table of all settings, as Markdown: `oneloop serve --help` and the README show it. */
export function settingsTable (): string {
  const rows = Object.entries(settings).map(([name, setting]) => {
    const range = setting.format === 'ports'
      ? '`off`, `0` (free), 1–65535, list'
      : setting.enum ? setting.enum.join(', ') : setting.format === 'ip' ? 'IP address' : `${setting.minimum}–${setting.maximum}`
    return [`\`${name}\``, `\`${flag(name)}\``, `\`${setting.default}\``, range, setting.description ?? '']
  })
  const all = [['Variable', 'Flag', 'Default', 'Range', 'Meaning'], ...rows]
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)))
  const line = (row: string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(all[0] ?? []), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}
