/** What the load generator counts, and the window of time in which it counts. */
import { setTimeout as delay } from 'node:timers/promises'
import { processCost, type ProcessCost } from '../process-cost.ts'
import { Histogram } from './histogram.ts'
import type { LoadOptions } from './options.ts'
import type { Hold, LoadResult } from './result.ts'

export type ErrorKind = 'connect' | 'wrong' | 'closed' | 'protocol'

/** A reply that is not what it has to be. */
export class ReplyError extends Error {
  override readonly name = 'ReplyError'
  readonly kind: ErrorKind

  constructor (kind: ErrorKind, message: string) {
    super(message)
    this.kind = kind
  }
}

interface Reading {
  readonly at: number
  readonly own: NodeJS.CpuUsage
  readonly server: ProcessCost | undefined
}

export class Meter {
  readonly options: LoadOptions
  readonly histogram = new Histogram()
  readonly errors: Record<ErrorKind, number> = { connect: 0, wrong: 0, closed: 0, protocol: 0 }
  isMeasuring = false
  /** No new requests: what is in flight comes home. */
  isDraining = false
  operations = 0
  bytes = 0
  lost = 0
  late = 0
  #note = ''
  #before: Reading | undefined
  #after: Reading | undefined

  constructor (options: LoadOptions) {
    this.options = options
  }

  read (): Reading {
    return { at: performance.now(), own: process.cpuUsage(), server: processCost(this.options.pid) }
  }

  /** Counts `count` operations of the same latency in µs. */
  count (bytes: number, us: number, count = 1): void {
    if (!this.isMeasuring) return
    this.operations += count
    this.bytes += bytes * count
    this.histogram.add(us, count)
  }

  fail (kind: ErrorKind, message: string): void {
    this.errors[kind]++
    this.#note ||= message
  }

  /** The warm-up, then the window. */
  async measure (): Promise<void> {
    await delay(this.options.warmup * 1000)
    this.histogram.clear()
    this.operations = this.bytes = 0
    this.#before = this.read()
    this.isMeasuring = true
    await delay(this.options.seconds * 1000)
    this.#after = this.read()
    this.isMeasuring = false
  }

  result (hold: Hold | null = null): LoadResult {
    const before = this.#before
    const after = this.#after
    if (!before || !after) throw new Error('nothing was measured')
    const seconds = (after.at - before.at) / 1000
    const own = after.own.user + after.own.system - before.own.user - before.own.system
    const us = (share: number) => Number(this.histogram.percentile(share).toFixed(1))
    return {
      mode: this.options.mode,
      seconds,
      operations: this.operations,
      bytes: this.bytes,
      p50: us(0.5),
      p90: us(0.9),
      p99: us(0.99),
      p999: us(0.999),
      max: this.histogram.max,
      connectErrors: this.errors.connect,
      wrongErrors: this.errors.wrong,
      closedErrors: this.errors.closed,
      protocolErrors: this.errors.protocol,
      lost: this.lost,
      late: this.late,
      serverCpuUs: before.server && after.server ? after.server.cpuUs - before.server.cpuUs : null,
      residentKb: after.server?.residentKb ?? null,
      generatorCpu: own / 1e6 / seconds,
      note: this.#note,
      hold
    }
  }
}
