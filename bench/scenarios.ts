/** What is measured: each scenario's load, or loads at the same time, by the endpoint that it needs. */
import type { Mode } from './load/options.ts'

/** `page` is oneloop's own page, which no peer has. */
export type EndpointName = 'http' | 'page' | 'ws' | 'echo' | 'time' | 'sink' | 'udp'

export interface Load {
  readonly mode: Mode
  readonly endpoint: EndpointName
  readonly connections: number
  readonly size?: number
  readonly depth?: number
  readonly sources?: number
  readonly isText?: boolean
  /** HTTP's bodies differ from one answer to the next. */
  readonly isVarying?: boolean
}

export type Kind = 'single' | 'mixed' | 'flood' | 'hold'

export interface Scenario {
  readonly name: string
  readonly kind: Kind
  readonly summary: string
  /** A flood's own load is called `flood`. */
  readonly loads: Readonly<Record<string, Load>>
}

const KIB = 1024
/** Connections that the client closes keep its ports for a while: from so many addresses they do not run out. */
const CHURN_SOURCES = 16
export const HOLD = 15_000
export const HOLD_SOURCES = 4

const single = (name: string, summary: string, load: Load): Scenario => ({ name, kind: 'single', summary, loads: { [load.endpoint]: load } })
const ws = (connections: number, size: number, depth: number, isText = false): Load => ({ mode: 'ws', endpoint: 'ws', connections, size, depth, isText })
const tcp = (connections: number, size: number, depth: number): Load => ({ mode: 'tcp', endpoint: 'echo', connections, size, depth })
const udp = (connections: number, size: number, depth: number): Load => ({ mode: 'udp', endpoint: 'udp', connections, size, depth })
const http = (connections: number, depth = 1): Load => ({ mode: 'http', endpoint: 'http', connections, depth })

const everyProtocol = (connections: number) => ({ http: http(connections), ws: ws(connections, 16, 1), tcp: tcp(connections, 64, 1), udp: udp(connections, 64, 1) })
const mixed = (name: string, connections: number, summary: string): Scenario => ({ name, kind: 'mixed', summary, loads: everyProtocol(connections) })
const flood = (name: string, summary: string, load: Load): Scenario => ({ name, kind: 'flood', summary: `a light client on each protocol, and ${summary}`, loads: { ...everyProtocol(1), flood: load } })
const hold = (name: string, summary: string, load: Pick<Load, 'mode' | 'endpoint' | 'size'>): Scenario =>
  ({ name, kind: 'hold', summary, loads: { [load.endpoint]: { ...load, connections: HOLD, sources: HOLD_SOURCES } } })

export const scenarios: readonly Scenario[] = [
  single('http-keepalive', '64 connections, each asks again and again', http(64)),
  single('http-close', '64 at a time, a connection for each request', { mode: 'http-close', endpoint: 'http', connections: 64 }),
  single('http-page', "oneloop's own page, 64 connections", { mode: 'http', endpoint: 'page', connections: 64, isVarying: true }),
  single('ws-16-d1', '64 WebSockets, 16 bytes, 1 in flight', ws(64, 16, 1)),
  single('ws-16-d16', '64 WebSockets, 16 bytes, 16 in flight', ws(64, 16, 16)),
  single('ws-16-text-d16', 'the same as text', ws(64, 16, 16, true)),
  single('ws-1k-d4', '64 WebSockets, 1 KiB, 4 in flight', ws(64, KIB, 4)),
  single('ws-64k', '8 WebSockets, 64 KiB, 2 in flight', ws(8, 64 * KIB, 2)),
  single('ws-64k-text', 'the same as text', ws(8, 64 * KIB, 2, true)),
  single('tcp-64-d1', '64 connections, 64 bytes, 1 in flight', tcp(64, 64, 1)),
  single('tcp-64k', '8 connections, a stream of 64 KiB, 4 in flight', tcp(8, 64 * KIB, 4)),
  single('udp-64', '16 sockets, 64 bytes, 4 in flight', udp(16, 64, 4)),
  single('time-churn', '16 at a time: connect, read the time until the end', { mode: 'time-churn', endpoint: 'time', connections: 16, sources: CHURN_SOURCES }),
  single('echo-churn', '16 at a time: connect, send 64 bytes, read them, close', { mode: 'echo-churn', endpoint: 'echo', connections: 16, size: 64, sources: CHURN_SOURCES }),
  single('sink', '4 connections that only send, in blocks of 64 KiB', { mode: 'sink', endpoint: 'sink', connections: 4, size: 64 * KIB }),
  hold('ws-hold', '15,000 idle WebSockets and an active one', { mode: 'ws-hold', endpoint: 'ws', size: 16 }),
  hold('tcp-hold', '15,000 idle TCP connections and an active one', { mode: 'tcp-hold', endpoint: 'echo', size: 64 }),
  mixed('mixed-light', 1, 'one client on each protocol'),
  mixed('mixed', 16, '16 clients on each protocol'),
  flood('mixed-flood-tcp', '4 connections with 16 × 64 KiB in flight', tcp(4, 64 * KIB, 16)),
  flood('mixed-flood-ws', '16 WebSockets with 256 × 16 bytes in flight', ws(16, 16, 256)),
  flood('mixed-flood-udp', '16 sockets with 32 × 64 bytes in flight', udp(16, 64, 32)),
  flood('mixed-flood-http', '16 connections with 16 requests in flight', http(16, 16))
]

export const QUICK = ['http-keepalive', 'ws-16-d1', 'ws-16-d16', 'ws-64k', 'tcp-64-d1', 'tcp-64k', 'udp-64', 'time-churn']

/** The client that a flood's own load drowns anyway: its protocol says nothing of fairness. */
export const floodedPart = ({ kind, loads }: Scenario): string | undefined =>
  kind === 'flood' ? Object.keys(loads).find((part) => part !== 'flood' && loads[part]?.endpoint === loads.flood?.endpoint) : undefined
