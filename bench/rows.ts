/** The rows of the tables: what is measured. */
import type { Load } from './load/job.ts'

export interface Row {
  readonly name: string
  readonly summary: string
  readonly kind: 'load' | 'hold' | 'flood'
  /** In a flood row, the flood that runs beside the light clients. */
  readonly load?: Load
}

const KIB = 1024
const row = (name: string, summary: string, load: Load): Row => ({ name, summary, kind: 'load', load })
const hold = (name: string, summary: string, load: Load): Row => ({ name, summary, kind: 'hold', load })
const flood = (name: string, summary: string, load?: Load): Row => ({ name, summary: `light clients, and ${summary}`, kind: 'flood', ...(load && { load }) })

/** Default number of connections in a hold row. */
export const HOLD = 5000
export const QUICK = ['http-keepalive', 'ws-16-d1', 'ws-16-d16', 'ws-64k', 'tcp-64-d1', 'tcp-64k', 'udp-64', 'time-churn']

export const rows: readonly Row[] = [
  row('http-keepalive', '64 connections, one request at a time on each', { protocol: 'http', connections: 64 }),
  row('http-close', '64 at a time, a connection for each request', { protocol: 'http', connections: 64, kind: 'churn' }),
  row('ws-16-d1', '64 WebSockets, 16 bytes, 1 in flight', { protocol: 'ws', connections: 64, size: 16 }),
  row('ws-16-d16', '64 WebSockets, 16 bytes, 16 in flight', { protocol: 'ws', connections: 64, size: 16, depth: 16 }),
  row('ws-64k', '8 WebSockets, 64 KiB, 2 in flight', { protocol: 'ws', connections: 8, size: 64 * KIB, depth: 2 }),
  row('tcp-64-d1', '64 connections, 64 bytes, 1 in flight', { protocol: 'tcp', connections: 64, size: 64 }),
  row('tcp-64k', '8 connections, 64 KiB, 4 in flight', { protocol: 'tcp', connections: 8, size: 64 * KIB, depth: 4 }),
  row('udp-64', '16 sockets, 64 bytes, 4 in flight', { protocol: 'udp', connections: 16, size: 64, depth: 4 }),
  row('time-churn', '16 at a time: connect, read the time to the end', { protocol: 'time', connections: 16, kind: 'churn' }),
  row('echo-churn', '16 at a time: connect, send 64 bytes, read them, close', { protocol: 'tcp', connections: 16, size: 64, kind: 'churn' }),
  hold('ws-hold', 'idle WebSockets', { protocol: 'ws', connections: HOLD, kind: 'hold' }),
  hold('tcp-hold', 'idle TCP connections', { protocol: 'tcp', connections: HOLD, kind: 'hold' }),
  flood('flood-none', 'nothing else'),
  flood('flood-tcp', '4 connections with 16 × 64 KiB in flight', { protocol: 'tcp', connections: 4, size: 64 * KIB, depth: 16 }),
  flood('flood-ws', '16 WebSockets with 256 × 16 bytes in flight', { protocol: 'ws', connections: 16, size: 16, depth: 256 }),
  flood('flood-udp', '16 sockets with 32 × 64 bytes in flight', { protocol: 'udp', connections: 16, size: 64, depth: 32 }),
  flood('flood-http', '16 connections with 16 requests in flight', { protocol: 'http', connections: 16, depth: 16 })
]

/**
 * Each light client has its own address, and a pace that every default limit of oneloop allows (UDP: 10 a second). Their number
 * gives the percentiles enough values.
 */
const LIGHT = { connections: 16, pauseMs: 100 }
export const lightLoads = (['http', 'ws', 'tcp', 'udp'] as const).map((protocol) => ({ protocol, size: protocol === 'ws' ? 16 : 64, ...LIGHT }))
