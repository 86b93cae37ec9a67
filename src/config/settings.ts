/** The only list of settings: name, type, default, range, meaning, and for a limit what crossing it gets a client. */
import { rawServices } from '../sockets/index.ts'

export const MAX_PORTS = 8
export const MAX_ORIGINS = 16

const KIB = 1024
const MIB = 1_048_576

interface Common {
  readonly description: string
  /** For a limit: what crossing it gets a client. */
  readonly crossed?: string
  /** For a limit: its default with PROFILE=bench. */
  readonly bench?: number
}

/** A whole number; its range includes both ends. */
export interface NumberSetting extends Common {
  readonly default: number
  readonly minimum: number
  readonly maximum: number
}

export interface ListSetting extends Common {
  readonly default: string
  /** What the list holds; `validation.ts` knows each format. */
  readonly format: 'hosts' | 'ports' | 'origins'
}

export interface ChoiceSetting extends Common {
  readonly default: string
  readonly choices: readonly string[]
}

export type Setting = NumberSetting | ListSetting | ChoiceSetting

const number = (value: number, [minimum, maximum]: readonly [number, number], description: string): NumberSetting =>
  ({ default: value, minimum, maximum, description })
const limit = (value: number, range: readonly [number, number], bench: number, description: string, crossed: string): NumberSetting =>
  ({ ...number(value, range, description), bench, crossed })
const list = (format: ListSetting['format'], description: string, value = ''): ListSetting => ({ default: value, format, description })
const choice = (choices: readonly string[], value: string, description: string): ChoiceSetting => ({ default: value, choices, description })
const ports = (defaults: readonly number[], of: string): ListSetting => list('ports', `Ports of ${of}`, defaults.join(','))

const COUNT = [1, 100_000] as const
const RATE = [1, 1_000_000] as const
const MS = [100, 600_000] as const
const LONG_MS = [100, 86_400_000] as const
const BYTES = [1, 104_857_600] as const
const CLOSED = 'its connection closed at once; counted as `refused`'
const DESTROYED = 'its connection destroyed'
const UNANSWERED = 'no answer; counted as `refused`'

/** `udp-echo` → `UDP_ECHO_PORT`. */
export const portVariable = (service: string): string => `${service.toUpperCase().replaceAll('-', '_')}_PORT`
/** `UDP_ECHO_PORT` → `--udp-echo-port`. */
export const flag = (variable: string): string => `--${variable.toLowerCase().replaceAll('_', '-')}`

/** All settings but the ports, which follow from the services. */
export const fixed = {
  HOST: list('hosts', 'Addresses to listen on; 0.0.0.0 or :: for all. Default: this machine\'s loopback'),
  LOG_LEVEL: choice(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'], 'info', 'Lowest level of the log lines to write'),
  LAB: choice(['on', 'off'], 'on', 'The page\'s Block, Wait, Worker and Run it, and the probe; use off where strangers reach the page'),
  ORIGINS: list('origins', 'Origins whose pages may use the feed and the lab, besides addresses and this machine\'s own name'),
  PROFILE: choice(['default', 'bench'], 'default', 'bench raises the limits, for measurements; see docs/limits.md'),
  DRAIN_MS: limit(10_000, [1000, 600_000], 10_000, 'Longest time to shut down, whatever clients do', `${DESTROYED} before this time is up: by 400 ms, or a fifth of it if that is more`),
  DRAIN_DELAY_MS: number(0, [0, 600_000], 'Part of DRAIN_MS in which everything is still served while `/readyz` says 503; use 5000 in Kubernetes'),

  HTTP_MAX_CONNECTIONS: limit(500, COUNT, 10_000, 'Open HTTP connections, not counting WebSockets', CLOSED),
  HTTP_MAX_PER_ADDRESS: limit(50, COUNT, 100_000, 'Open HTTP connections from one address', CLOSED),
  HTTP_MAX_REQUESTS: limit(1000, [1, 1_000_000_000], 1_000_000_000, 'Requests on one connection', '`Connection: close` with the last answer'),
  HTTP_MAX_PIPELINED: limit(32, COUNT, 100_000, 'Unanswered requests on one connection', '429, and the connection closed'),
  HTTP_RATE: limit(50, RATE, 1_000_000, 'Requests per second from one address', '429 with `Retry-After`, and the connection closed'),
  HTTP_BURST: limit(100, RATE, 1_000_000, 'Requests from one address at once, before HTTP_RATE applies', '429 with `Retry-After`, and the connection closed'),
  HTTP_MAX_BODY_BYTES: limit(MIB, [0, 1024 * MIB], 64 * MIB, 'Largest request body', '413'),
  HTTP_MAX_HEADER_BYTES: limit(16 * KIB, [KIB, MIB], 64 * KIB, 'Size of a request\'s first line and headers', '431'),
  HTTP_MAX_HEADERS: limit(100, [1, 10_000], 1000, 'Number of headers of a request', '431'),
  HTTP_HEADERS_MS: limit(10_000, MS, 60_000, 'Time for a request\'s headers to arrive', '408'),
  HTTP_REQUEST_MS: limit(15_000, MS, 600_000, 'Time for a whole request to arrive', '408'),
  HTTP_IDLE_MS: limit(30_000, MS, 600_000, 'Time without a byte within a request or its answer', DESTROYED),
  HTTP_KEEP_ALIVE_MS: limit(72_000, [1, 3_600_000], 3_600_000, 'Idle time of a kept-alive HTTP connection', 'its idle connection closed'),

  WS_MAX_CONNECTIONS: limit(1000, COUNT, 20_000, 'Open WebSockets', '503 with `Retry-After` instead of the upgrade'),
  WS_MAX_PER_ADDRESS: limit(20, COUNT, 100_000, 'Open WebSockets from one address', '503 with `Retry-After` instead of the upgrade'),
  WS_RATE: limit(200, RATE, 1_000_000, 'Messages, pings and pongs per second from one WebSocket', 'close code 1008; its connection destroyed if another `WS_BURST` of them follow'),
  WS_BURST: limit(1000, RATE, 1_000_000, 'Messages, pings and pongs from one WebSocket at once, before WS_RATE applies', 'close code 1008'),
  WS_MAX_MESSAGE_BYTES: limit(MIB, BYTES, 64 * MIB, 'Largest WebSocket message', 'close code 1009'),
  WS_MAX_FRAGMENTS: limit(1024, [1, 1_000_000], 1_000_000, 'Fragments of one message', 'close code 1008'),
  WS_PAUSE_BYTES: limit(256 * KIB, BYTES, 256 * KIB, 'Unsent bytes above which a WebSocket is not read', 'no further reads until they are sent, and no messages from `ws-time`'),
  // The last message comes on top: a slow but honest client may have an echo of the largest message waiting.
  WS_MAX_UNSENT_BYTES: limit(MIB, BYTES, 64 * MIB, 'Unsent bytes of a WebSocket, not counting its last message', DESTROYED),
  WS_PING_MS: limit(30_000, MS, 600_000, 'Time between two pings; a client that is silent from one to the next is disconnected', `${DESTROYED} if, between two pings, it sends no pong, ping or whole message and takes none of the bytes that wait for it`),
  WS_CLOSE_MS: limit(3000, [100, 60_000], 3000, 'Time for a client to answer a close frame', DESTROYED),

  TCP_MAX_CONNECTIONS: limit(256, COUNT, 20_000, 'Open connections of each TCP service', CLOSED),
  TCP_MAX_PER_ADDRESS: limit(32, COUNT, 100_000, 'Open connections of each TCP service from one address', CLOSED),
  TCP_IDLE_MS: limit(60_000, LONG_MS, 3_600_000, 'Time without a byte before a TCP connection ends', DESTROYED),
  TCP_LIFE_MS: limit(600_000, LONG_MS, 86_400_000, 'Longest life of a TCP connection', DESTROYED),
  // 64 MiB would be too little: the tutorials' client sends 124 MiB to sink.
  TCP_MAX_BYTES: limit(256 * MIB, [1, 2 ** 40], 2 ** 40, 'Bytes that a TCP connection may carry each way', DESTROYED),
  TCP_FIN_MS: limit(10_000, MS, 10_000, 'Time for a TCP client to close after the server\'s FIN', DESTROYED),

  UDP_MAX_BYTES: limit(1472, [1, 65_507], 65_507, 'Largest datagram that is answered', UNANSWERED),
  UDP_RATE: limit(10, RATE, 1_000_000, 'Datagrams per second accepted from one address', UNANSWERED),
  UDP_BURST: limit(20, RATE, 1_000_000, 'Datagrams accepted from one address at once, before UDP_RATE applies', UNANSWERED),
  UDP_TOTAL_RATE: limit(2000, RATE, 1_000_000, 'Datagrams per second accepted from all addresses together', UNANSWERED),

  MAX_ADDRESSES: limit(10_000, [1, 1_000_000], 10_000, 'Addresses remembered for each rate', 'no refusal: the least recently seen address is forgotten'),
  LOG_RATE: limit(20, RATE, 20, 'Log lines per second about the connections and requests of one address', 'no refusal: the other lines are counted as `unlogged` in the next one'),
  LOG_BURST: limit(100, RATE, 100, 'Log lines about one address at once, before LOG_RATE applies', 'no refusal: the other lines are counted as `unlogged` in the next one'),
  SHED_DELAY_MS: limit(200, [10, 60_000], 60_000, 'Lasting delay of the event loop above which HTTP refuses requests', '503 with `Retry-After`'),
  SHED_MEMORY_BYTES: limit(0, [0, 2 ** 40], 0, 'Resident memory above which HTTP refuses requests; 0 means 85 % of what the process may use', '503 with `Retry-After`; on a WebSocket with more than 64 KiB of an unfinished message, close code 1013')
}

const { HOST, ...others } = fixed
export const settings: Readonly<Record<string, Setting>> = {
  HOST,
  HTTP_PORT: ports([5001], '`http`'),
  ...Object.fromEntries(rawServices.map((s) => [portVariable(s.name), ports(s.ports, `\`${s.name}\``)])),
  ...others
}

export const isLimit = (name: string): boolean => settings[name]?.crossed !== undefined
