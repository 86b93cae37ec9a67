/** Measures a row: every target in turn, in an order that rotates with each round. */
import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { program, start } from './children.ts'
import type { Job, Load, Protocol, Result } from './load/job.ts'
import { lightLoads, type Row } from './rows.ts'
import type { Running, Target } from './targets.ts'

/** Length of a first round that does not count: code that has just been loaded is slow. */
const REHEARSAL_SECONDS = 0.6
/** Warm-up of the light clients: the flood starts with them, and ends after them. */
const FLOOD_WARMUP_SECONDS = 1.5
const FLOOD_MORE_SECONDS = 0.5
/** Extra time for a load to start, open connections and wait for answers. */
const MARGIN_MS = 90_000
/** Source addresses of short and idle connections, so that ports do not run out. */
const SOURCES = 16

export interface Sample extends Result {
  readonly row: string
  readonly target: string
  readonly round: number
  /** In a flood row: the protocol of the light clients, or `flood`. */
  readonly client: string
}

export interface RowRun {
  readonly row: Row
  readonly samples: readonly Sample[]
  /** The first failure of each target that could not be measured. */
  readonly failures: Readonly<Record<string, string>>
}

export type Plan = Readonly<Record<'rounds' | 'seconds' | 'warmup' | 'hold', number>> & { readonly isLimited: boolean }

const pin = (cpu: number) => ['taskset', '-c', String(cpu)]
/** With two CPUs, the server has one and the generator the other. */
export const isPinned = availableParallelism() > 1 && [0, 1].every((cpu) => spawnSync('taskset', [...pin(cpu).slice(1), 'true']).status === 0)

async function generate (jobs: readonly Job[]): Promise<Result[]> {
  const child = start([...(isPinned ? pin(1) : []), process.execPath, program('load'), JSON.stringify(jobs)])
  const ms = Math.max(...jobs.map(({ warmup, seconds }) => warmup + seconds)) * 1000 + MARGIN_MS
  const problem = await Promise.race([child.ended, delay(ms, 'it did not end', { ref: false })])
  if (problem === undefined) return JSON.parse(child.output()) as Result[]
  await child.stop()
  throw new Error(`load generator: ${problem}`)
}

type Window = Pick<Job, 'warmup' | 'seconds'>

function jobOf (load: Load, { pid, urls }: Running, window: Window & Partial<Job>): Job {
  return { url: urls[load.protocol] ?? '', pid, sources: load.kind ? SOURCES : 0, ...load, ...window }
}

const lightsBeside = (flood?: Load) => lightLoads.filter(({ protocol }) => protocol !== flood?.protocol)

/** The protocols that a target must provide for a row. */
export const needs = ({ kind, load }: Row): Protocol[] => [...(load ? [load] : []), ...(kind === 'flood' ? lightsBeside(load) : [])].map(({ protocol }) => protocol)

async function measure ({ kind, load }: Row, running: Running, { seconds, warmup, hold }: Window & Plan): Promise<[client: string, Result][]> {
  if (load && kind !== 'flood') {
    const job = jobOf(load, running, { seconds, warmup, ...(kind === 'hold' && { connections: hold }) })
    return (await generate([job])).map((result) => ['', result])
  }
  const window = { warmup: FLOOD_WARMUP_SECONDS, seconds }
  const lights = lightsBeside(load)
  const [results, flooded] = await Promise.all([
    generate(lights.map((light) => jobOf(light, running, { ...window, sources: light.connections }))),
    load ? generate([jobOf(load, running, { ...window, seconds: seconds + FLOOD_MORE_SECONDS, isFlood: true })]) : []
  ])
  return [...results, ...flooded].map((result, i) => [lights[i]?.protocol ?? 'flood', result])
}

export async function runRow (row: Row, targets: readonly Target[], plan: Plan): Promise<RowRun> {
  const samples: Sample[] = []
  const failures: Record<string, string> = {}
  const running = new Map<Target, Running>()
  const hold = row.kind === 'hold' && row.load ? { ...row.load, connections: plan.hold } : undefined

  async function attempt (target: Target, round: number, window: Window): Promise<void> {
    try {
      const server = running.get(target) ?? await target.start(isPinned ? pin(0) : [], hold, plan.isLimited)
      running.set(target, server)
      const results = await measure(row, server, { ...plan, ...window })
      if (round >= 0) samples.push(...results.map(([client, result]) => ({ row: row.name, target: target.name, round, client, ...result })))
    } catch (error) {
      failures[target.name] ??= (error as Error).message
    }
  }

  async function stop (target: Target): Promise<void> {
    await running.get(target)?.stop()
    running.delete(target)
  }

  if (row.kind === 'load') {
    for (const target of targets) await attempt(target, -1, { seconds: Math.min(REHEARSAL_SECONDS, plan.seconds), warmup: 0 })
  }
  for (let round = 0; round < plan.rounds; round++) {
    for (let i = 0; i < targets.length; i++) {
      const target = targets[(i + round) % targets.length] as Target
      await attempt(target, round, plan)
      // Each measurement of memory needs a server that has held nothing yet.
      if (hold) await stop(target)
    }
  }
  for (const target of targets) await stop(target)
  return { row, samples, failures }
}
