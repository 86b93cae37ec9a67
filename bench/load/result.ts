/** What a load generator prints, as one line of JSON; times are in µs. */

export interface Hold {
  readonly asked: number
  readonly opened: number
  /** Of these, still open at the end. */
  readonly alive: number
  readonly openSeconds: number
  /** Latency of the active connection before there were idle ones. */
  readonly alone50: number
  readonly alone99: number
  /** CPU of the server for each connection that it opened; null where the system does not tell. */
  readonly openCpuUs: number | null
  /** Resident memory of the server for each idle connection. */
  readonly bytesEach: number | null
}

export interface LoadResult {
  readonly mode: string
  readonly seconds: number
  readonly operations: number
  readonly bytes: number
  readonly p50: number
  readonly p90: number
  readonly p99: number
  readonly p999: number
  readonly max: number
  /** Refused, reset or unanswered at the start. */
  readonly connectErrors: number
  /** A byte, a length or a kind that is not what was sent. */
  readonly wrongErrors: number
  /** Ended by the server. */
  readonly closedErrors: number
  readonly protocolErrors: number
  /** Datagrams that did not come back within 250 ms; `late` ones came back after that. */
  readonly lost: number
  readonly late: number
  readonly serverCpuUs: number | null
  readonly residentKb: number | null
  /** Share of one CPU that the generator itself took. */
  readonly generatorCpu: number
  /** The first error. */
  readonly note: string
  readonly hold: Hold | null
}

export const errorsOf = (result: LoadResult): number =>
  result.connectErrors + result.wrongErrors + result.closedErrors + result.protocolErrors
