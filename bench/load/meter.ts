/** Counts the operations of a load within a window of time. */
import { readFileSync } from 'node:fs'
import { createHistogram } from 'node:perf_hooks'
import { setTimeout as delay } from 'node:timers/promises'
import type { Job, Result } from './job.ts'

const HOME_MS = 2000
/** USER_HZ is the same for every Linux program. */
const US_PER_TICK = 10_000

/** CPU time of this process and of the server (user and system, all threads), and the server's resident bytes. */
export function costOf (pid: number) {
  const { user, system } = process.cpuUsage()
  const own = { at: performance.now(), own: user + system }
  try {
    // The process name in brackets may contain spaces.
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1)?.split(' ').map(Number) ?? []
    const resident = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]
    return { ...own, server: ((fields[11] ?? 0) + (fields[12] ?? 0)) * US_PER_TICK, resident: Number(resident) * 1024 }
  } catch {
    return { ...own, server: null, resident: null }
  }
}

export const difference = (after: number | null, before: number | null) => after === null || before === null ? null : after - before

export class Meter {
  readonly job: Job
  /** The parts of the job's URL. */
  readonly to: { readonly host: string, readonly port: number, readonly path: string, readonly authority: string }
  /** Requests without an answer yet. */
  waiting = 0
  /** No further requests are sent. */
  isOver = false
  #operations = 0
  #errors = 0
  #note = ''
  #isCounting = false
  readonly #latencies = createHistogram()

  constructor (job: Job) {
    const { hostname, port, pathname, search, host } = new URL(job.url)
    this.job = job
    this.to = { host: hostname.replaceAll(/[[\]]/g, ''), port: Number(port || 80), path: `${pathname || '/'}${search}`, authority: host }
  }

  /** Counts operations that began at the same time (by performance.now()). */
  count (beganAt: number, operations = 1): void {
    if (!this.#isCounting) return
    this.#operations += operations
    const ns = Math.max(1, Math.round((performance.now() - beganAt) * 1e6))
    for (let i = 0; i < operations; i++) this.#latencies.record(ns)
  }

  fail (message: string, times = 1): void {
    this.#errors += times
    this.#note ||= message
  }

  /** Runs one client that asks repeatedly until the load is over. */
  async repeat (ask: () => Promise<void>): Promise<void> {
    const { pauseMs } = this.job
    // Light clients start at different times.
    if (pauseMs) await delay(Math.random() * pauseMs)
    while (!this.isOver) {
      const began = performance.now()
      this.waiting++
      try {
        await ask()
        this.count(began)
      } catch (error) {
        this.fail((error as Error).message)
      }
      this.waiting--
      if (pauseMs) await delay(pauseMs)
    }
  }

  /** Runs the warm-up and the window. Afterwards, requests in flight get some time to finish; later ones are errors. */
  async measure (): Promise<Result> {
    const { warmup, seconds, pid, pauseMs, isFlood = false } = this.job
    await delay(warmup * 1000)
    const before = costOf(pid)
    this.#isCounting = true
    await delay(seconds * 1000)
    const after = costOf(pid)
    this.isOver = true
    // Otherwise the slowest answers of light clients would be left out.
    this.#isCounting = pauseMs !== undefined
    if (!isFlood) {
      for (let waitedMs = 0; this.waiting > 0 && waitedMs < HOME_MS; waitedMs += 5) await delay(5)
      if (this.waiting > 0 || this.#operations + this.#errors === 0) this.fail('no answer', Math.max(1, this.waiting))
    }
    return this.result(before, after)
  }

  result (before: ReturnType<typeof costOf>, after: typeof before, operations = this.#operations): Result {
    const us = (percentile: number) => this.#latencies.count > 0 && !this.job.isFlood ? this.#latencies.percentile(percentile) / 1000 : null
    return {
      operations,
      seconds: (after.at - before.at) / 1000,
      p50: us(50),
      p99: us(99),
      errors: this.#errors,
      note: this.#note,
      serverCpu: difference(after.server, before.server),
      generatorCpu: after.own - before.own
    }
  }

  /** The addresses that the client with this number connects to and from. Only Linux has all of 127.0.0.0/8. */
  route (index: number): { host: string, port: number, localAddress?: string } {
    const { to: { host, port }, job: { sources } } = this
    return { host, port, ...(sources > 0 && host.startsWith('127.') && process.platform === 'linux' && { localAddress: `127.0.1.${1 + index % sources}` }) }
  }
}

export const payloadOf = (size: number): Buffer => Buffer.from(Uint8Array.from({ length: size }, (_, i) => 97 + (i * 7 + Math.floor(i / 26)) % 26))
