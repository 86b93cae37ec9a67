/** The lessons Block, Wait and Worker: three ways to spend half a second, and a limit on what visitors may spend. */
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import type { LessonKind, LessonResult } from '../shared/messages.ts'
import { LESSONS, PROTOCOLS } from '../shared/names.ts'
import type { Transport } from '../shared/transport.ts'

/* The page shows the source of these three functions. */

function block (ms: number) {
  const end = performance.now() + ms
  while (performance.now() < end) { /* busy */ }
}

async function wait (ms: number) {
  // Meanwhile the loop serves everybody else.
  await sleep(ms)
}

async function worker (ms: number) {
  const thread = new Worker(`(${block})(${ms})`, { eval: true })
  await once(thread, 'exit')
}

export const lessons: Readonly<Record<LessonKind, (ms: number) => void | Promise<void>>> = { block, wait, worker }

export const MAX_LESSON_MS = 2000
const WINDOW_MS = 60_000
/** At most a fifth of each minute may be spent in Block and Worker. */
const BUDGET_MS = WINDOW_MS / 5

export class LessonRefused extends Error {
  readonly statusCode = 429
  readonly code: 'ERR_LAB_BUSY' | 'ERR_LAB_BUDGET'
  readonly retryMs: number

  constructor (code: LessonRefused['code'], reason: string, retryMs: number) {
    super(`${reason}: try again in ${Math.ceil(retryMs / 1000)} s`)
    this.name = 'LessonRefused'
    this.code = code
    this.retryMs = retryMs
  }
}

/** Allows one lesson at a time, and at most a fifth of any minute in Block and Worker. */
export class LessonBudget {
  #spent: { readonly at: number, readonly ms: number }[] = []
  #running: { readonly kind: LessonKind, readonly until: number } | undefined

  /** Begins a lesson, or throws a LessonRefused. `now` in milliseconds. */
  begin (kind: LessonKind, ms: number, now: number): void {
    if (this.#running) {
      const retryMs = Math.max(this.#running.until - now, 100)
      throw new LessonRefused('ERR_LAB_BUSY', `${LESSONS[this.#running.kind]} is running, and one lesson runs at a time`, retryMs)
    }
    if (kind !== 'wait') this.#spend(kind, ms, now)
    this.#running = { kind, until: now + ms }
  }

  end (): void {
    this.#running = undefined
  }

  #spend (kind: LessonKind, ms: number, now: number): void {
    this.#spent = this.#spent.filter(({ at }) => at + WINDOW_MS > now)
    let excess = this.#spent.reduce((sum, one) => sum + one.ms, ms) - BUDGET_MS
    for (const one of this.#spent) {
      if (excess <= 0) break
      excess -= one.ms
      if (excess <= 0) throw new LessonRefused('ERR_LAB_BUDGET', `${LESSONS[kind]} has had its fifth of this minute`, one.at + WINDOW_MS - now)
    }
    this.#spent.push({ at: now, ms })
  }
}

/** The beginning of each sentence: what happened, and why others had to wait or not. */
const CAUSES: Readonly<Record<LessonKind, (ms: number) => string>> = {
  block: (ms) => `Your code held the only thread for ${ms} ms, so everybody waited`,
  wait: (ms) => `A timer waited for ${ms} ms while the loop went on serving`,
  worker: (ms) => `Another thread worked for ${ms} ms while the loop went on serving`
}

/** `Your code held the only thread for 500 ms, so everybody waited: HTTP 503 ms, …`, `…: nobody waited longer than 2 ms`. */
export function sentence ({ kind, ms, waited }: Pick<LessonResult, 'kind' | 'ms' | 'waited'>): string {
  const lanes = Object.entries(waited) as [Transport, number | null][]
  if (lanes.length === 0) return `${LESSONS[kind]} ran for ${ms} ms, but there was no probe to measure with.`
  const lost = lanes.filter(([, slowest]) => slowest === null).map(([transport]) => `${PROTOCOLS[transport]} got no answer`)
  const answered = lanes.filter((lane): lane is [Transport, number] => lane[1] !== null)
  const told = kind === 'block'
    ? answered.map(([transport, slowest]) => `${PROTOCOLS[transport]} ${Math.round(slowest)} ms`)
    : answered.length > 0 ? [`nobody waited longer than ${Math.ceil(Math.max(...answered.map(([, slowest]) => slowest)))} ms`] : []
  return `${CAUSES[kind](ms)}: ${[...told, ...lost].join(', ')}.`
}

/** The source of the lessons, as it runs. */
export const lessonCode: Readonly<Record<LessonKind, string>> = {
  block: source(block),
  wait: source(wait),
  worker: source(worker)
}

/** Tidies a compiled function's source: indents by two, and removes the gap that a blanked-out type leaves. */
function source (lesson: (ms: number) => unknown): string {
  const [head = '', ...body] = String(lesson).split('\n')
  return [head.replace(/\(ms\b[^)]*\)/, '(ms)'), ...body].join('\n').replaceAll('    ', '  ')
}
