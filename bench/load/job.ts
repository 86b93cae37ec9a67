/** The messages between the bench and a load generator. */

export type Protocol = 'http' | 'ws' | 'tcp' | 'udp' | 'time'

export interface Load {
  readonly protocol: Protocol
  readonly connections: number
  /** Bytes in a message. */
  readonly size?: number
  /** Messages in flight on each connection; 1 if not given. */
  readonly depth?: number
  /** `churn`: a connection for each operation. `hold`: idle connections. */
  readonly kind?: 'churn' | 'hold'
  /** Milliseconds between an answer and the next request of a light client. */
  readonly pauseMs?: number
}

export interface Job extends Load {
  readonly url: string
  readonly warmup: number
  readonly seconds: number
  /** The server's process, whose CPU time and memory are read; 0 if it is not known. */
  readonly pid: number
  /** Number of source addresses, counted from 127.0.1.1, which clients take in turn; 0 for the usual one. */
  readonly sources: number
  /** A flood reopens connections that the server closes. */
  readonly isFlood?: boolean
}

/** Times are in µs; null means not measured. `note` is the first error, `bytesEach` the server's memory for an idle connection. */
export interface Result {
  readonly operations: number
  readonly seconds: number
  readonly p50: number | null
  readonly p99: number | null
  readonly errors: number
  readonly note: string
  readonly serverCpu: number | null
  readonly generatorCpu: number
  readonly bytesEach?: number | null
}
