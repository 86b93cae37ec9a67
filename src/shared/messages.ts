/** The messages between the server and the page. Types only: both sides are checked against them. */
import type { Transport } from './transport.ts'

/** One measurement of the event loop, since the previous one. */
export interface LoopSample {
  /** Milliseconds since the epoch, like every `at`. */
  readonly at: number
  /** Event-loop delay in milliseconds: how late a timer fired. */
  readonly p50: number
  readonly max: number
  /** Event-loop utilisation: the share of the time in which the loop was busy, from 0 to 1. */
  readonly utilisation: number
}

/** One round trip of the probe. */
export interface Ping {
  readonly transport: Transport
  /** When the ping was sent. */
  readonly at: number
  /** Milliseconds until the answer; null if none came. */
  readonly ms: number | null
}

export type LessonKind = 'block' | 'wait' | 'worker'

/** The slowest round trip of each protocol in milliseconds; null if an answer never came. */
export type Waited = Partial<Record<Transport, number | null>>

export interface LessonStarted {
  readonly id: number
  readonly kind: LessonKind
  readonly ms: number
  readonly at: number
}

export interface LessonResult extends LessonStarted {
  readonly endedAt: number
  readonly waited: Waited
  /** The result in words. */
  readonly sentence: string
}

export interface ServiceCounts {
  readonly name: string
  readonly port: number | null
  readonly state: string
  /** When the port came free, if it was in use at the start. */
  readonly hadAt?: number
  readonly open: number
  readonly total: number
  readonly bytesIn: number
  readonly bytesOut: number
  readonly refused: number
}

export interface ProcessFacts {
  readonly uptimeS: number
  /** Bytes of memory that the process holds (resident set size). */
  readonly rss: number
  /** Bytes of JavaScript objects, part of `rss`. */
  readonly heapUsed: number
  /** Sockets that listen or are bound for datagrams. */
  readonly listening: number
  readonly connected: number
}

export interface LoopHello {
  readonly type: 'hello'
  readonly at: number
  readonly pid: number
  readonly node: string
  readonly version: string
  readonly lesson: LessonStarted | null
  /** The protocols that the probe pings; none with LAB=off. */
  readonly lanes: readonly Transport[]
  readonly services: readonly ServiceCounts[]
  readonly process: ProcessFacts
}

/** Sent about ten times a second. */
export interface LoopTick {
  readonly type: 'loop'
  readonly at: number
  readonly sample: LoopSample
  readonly pings: readonly Ping[]
  /** These three are in every fifth message. */
  readonly services?: readonly ServiceCounts[]
  readonly process?: ProcessFacts
  readonly lesson?: LessonStarted | null
}

export type LoopMessage =
  | LoopHello
  | LoopTick
  | { readonly type: 'lesson-started', readonly lesson: LessonStarted }
  | { readonly type: 'lesson-ended', readonly lesson: LessonResult }

/** An event on one of the protocols: sizes, never contents. */
export interface FeedEvent {
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly type: 'connect' | 'receive' | 'send' | 'half-close' | 'close' | 'refuse'
  readonly transport: Transport
  readonly service: string
  /** The connection's number, unique in this app; 0 for a datagram. An upgrade to WebSocket keeps it. */
  readonly connection: number
  /** `127.0.0.1:50000`, `[::1]:50000`. */
  readonly peer: string
  readonly bytes?: number
  /** For `close`: all bytes of the connection. */
  readonly bytesIn?: number
  readonly bytesOut?: number
  /** For `close` and `refuse`: the reason. */
  readonly reason?: string
}

/** A viewer's filter for the feed; an absent field does not filter. */
export interface FeedRequest {
  readonly transports?: readonly Transport[]
  readonly service?: string
  /** The number of a connection that is always shown. */
  readonly follow?: number
}

export type FeedMessage =
  /** `instance` changes with a restart, after which connection numbers begin again. `you` is the viewer's own address. */
  | { readonly type: 'hello', readonly at: number, readonly instance: string, readonly you: string, readonly maxEvents: number }
  | { readonly type: 'events', readonly events: readonly FeedEvent[], /** Events left out of this batch. */ readonly dropped: number }
  | { readonly type: 'error', readonly code: string, readonly message: string }

/** One step of a conversation, as the client saw it. */
export interface Segment {
  /** Milliseconds since the client began. */
  readonly ms: number
  readonly direction: 'sent' | 'received'
  readonly what: 'connect' | 'data' | 'text' | 'binary' | 'datagram' | 'fin' | 'close' | 'silence'
  /** The whole size; `hex` and `text` may show fewer bytes. */
  readonly bytes: number
  readonly hex: string
  readonly text: string
  readonly note?: string
}

export interface Transcript {
  readonly service: string
  readonly address: string
  /** The addresses that the client connected or sent from. */
  readonly peers: readonly string[]
  readonly segments: readonly Segment[]
  /** Number of segments that are not shown. */
  readonly omitted: number
  /** Why the conversation ended early. */
  readonly error?: string
}

/** The result of Run it: the client's side, and the server's. */
export interface RunResult extends Transcript {
  readonly events: readonly FeedEvent[]
}
