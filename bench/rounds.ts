/** Runs a scenario: every target in turn, in an order that rotates from round to round. */
import { generate, loadWords, type Window } from './generator.ts'
import { errorsOf, type LoadResult } from './load/result.ts'
import { holdable, quiet, type Pinning } from './machine.ts'
import { HOLD, HOLD_SOURCES, type Load, type Scenario } from './scenarios.ts'
import type { Sample } from './statistics.ts'
import type { HoldRequest, Running, Target } from './targets.ts'

/** Code that has just been loaded is several times dearer than the same code later. */
const WARM: Window = { seconds: 0.8, warmup: 0 }
/** A flood lasts so much longer that its light clients, which have that long to connect, never measure without it. */
const FLOOD_SECONDS = 1

/** One target in one round. */
export interface Measured extends Sample {
  /** By the scenario's loads. */
  readonly parts: Readonly<Record<string, LoadResult>>
  readonly operationsPerSecond: number
  /** Of the server; null where it cannot be told. */
  readonly cpuUsPerOperation: number | null
  /** Shares of one CPU. */
  readonly serverCpu: number | null
  readonly generatorCpu: number
  readonly residentKb: number | null
  readonly errors: number
  readonly lost: number
}

export interface ScenarioRun {
  readonly scenario: Scenario
  readonly measured: readonly Measured[]
  /** By target: why it has no figures, or not in every round. */
  readonly failures: Readonly<Record<string, string>>
  /** CPUs that others took before each round. */
  readonly others: readonly (number | undefined)[]
  readonly notes: readonly string[]
}

export interface Plan {
  readonly rounds: number
  readonly window: Window
  readonly pinning: Pinning
  readonly generator: readonly string[]
  /** For others to leave the machine alone: before one round, and before all of them. */
  readonly waitMs: number
  readonly allWaitsMs: number
  /** By performance.now(): no scenario gets a third round after it. */
  readonly deadline: number
  /** Servers stay up from one scenario to the next. */
  readonly isShared: boolean
  readonly holdConnections?: number
}

function sum (parts: readonly LoadResult[], read: (part: LoadResult) => number): number {
  return parts.reduce((total, part) => total + read(part), 0)
}

function summarize (target: string, round: number, parts: Readonly<Record<string, LoadResult>>): Measured {
  const all = Object.values(parts)
  const operationsPerSecond = sum(all, ({ operations, seconds }) => operations / seconds)
  const shares = all.flatMap(({ serverCpuUs, seconds }) => serverCpuUs === null ? [] : [serverCpuUs / 1e6 / seconds])
  // Loads at the same time see the same server: its share is that of any of them.
  const serverCpu = shares.length === 0 ? null : shares.reduce((total, share) => total + share, 0) / shares.length
  return {
    target,
    round,
    parts,
    operationsPerSecond,
    cpuUsPerOperation: serverCpu === null || operationsPerSecond === 0 ? null : serverCpu * 1e6 / operationsPerSecond,
    serverCpu,
    generatorCpu: sum(all, ({ generatorCpu }) => generatorCpu),
    residentKb: all[0]?.residentKb ?? null,
    errors: sum(all, errorsOf),
    lost: sum(all, ({ lost }) => lost)
  }
}

export class Bench {
  readonly #plan: Plan
  readonly #running = new Map<string, Running>()
  #waited = 0

  constructor (plan: Plan) {
    this.#plan = plan
  }

  async run (scenario: Scenario, targets: readonly Target[]): Promise<ScenarioRun> {
    const { rounds, isShared, deadline } = this.#plan
    const { loads, hold, notes } = this.#fitted(scenario)
    const failures: Record<string, string> = {}
    const measured: Measured[] = []
    const others: (number | undefined)[] = []
    const able = targets.filter(({ provides }) => Object.values(loads).every(({ endpoint }) => provides.includes(endpoint)))
    const attempt = async (target: Target, work: () => Promise<void>) => {
      try {
        await work()
      } catch (error) {
        failures[target.name] = (error as Error).message
      }
    }
    if (!hold) {
      for (const target of able) await attempt(target, async () => { await this.#load(loads, await this.#start(target), WARM) })
    }
    for (let round = 0; round < rounds; round++) {
      if (round > 1 && performance.now() > deadline) {
        notes.push(`${round} of ${rounds} rounds: the time is up`)
        break
      }
      others.push(await this.#quiet())
      for (let i = 0; i < able.length; i++) {
        const target = able[(i + round) % able.length] as Target
        await attempt(target, async () => {
          const result = summarize(target.name, round, await this.#load(loads, await this.#start(target, hold), this.#plan.window))
          const note = Object.values(result.parts).find((part) => part.note)?.note
          const silent = Object.entries(result.parts).filter(([, { operations }]) => operations === 0).map(([part]) => part)
          if (silent.length > 0) failures[target.name] = `no operations of ${silent.join(', ')}${note ? `: ${note}` : ''}`
          else if (note) failures[target.name] ??= `errors: ${note}`
          if (silent.length === 0 || scenario.kind === 'flood') measured.push(result)
        })
        if (hold) await this.#stop(target.name)
      }
    }
    if (!isShared) await this.stop()
    return { scenario, measured, failures, others, notes }
  }

  async stop (): Promise<void> {
    for (const name of [...this.#running.keys()]) await this.#stop(name)
  }

  async #quiet (): Promise<number | undefined> {
    const { waitMs, allWaitsMs } = this.#plan
    const from = performance.now()
    const others = await quiet(Math.min(waitMs, allWaitsMs - this.#waited))
    this.#waited += performance.now() - from
    return others
  }

  /** With as many idle connections as the machine allows. */
  #fitted ({ kind, loads }: Scenario): { loads: Record<string, Load>, hold?: HoldRequest, notes: string[] } {
    const [[part, load] = []] = Object.entries(loads)
    if (kind !== 'hold' || !part || !load) return { loads, notes: [] }
    const { connections, sources, reason } = holdable(this.#plan.holdConnections ?? HOLD, HOLD_SOURCES)
    return { loads: { [part]: { ...load, connections, sources } }, hold: { endpoint: load.endpoint, connections }, notes: reason ? [reason] : [] }
  }

  async #start (target: Target, hold?: HoldRequest): Promise<Running> {
    const before = this.#running.get(target.name)
    if (before?.isAlive()) return before
    const running = await target.start(this.#plan.pinning.server, hold)
    this.#running.set(target.name, running)
    if (before) throw new Error('its process had ended')
    return running
  }

  async #stop (name: string): Promise<void> {
    await this.#running.get(name)?.stop()
    this.#running.delete(name)
  }

  async #load (loads: Readonly<Record<string, Load>>, { endpoints, pid }: Running, window: Window): Promise<Record<string, LoadResult>> {
    const { pinning, generator } = this.#plan
    const windowOf = (part: string): Window => !loads.flood ? window : part === 'flood' ? { ...window, seconds: window.seconds + FLOOD_SECONDS } : { ...window, opening: FLOOD_SECONDS }
    return Object.fromEntries(await Promise.all(Object.entries(loads).map(async ([part, load]) => {
      const endpoint = endpoints[load.endpoint]
      if (!endpoint) throw new Error(`it has no ${load.endpoint}`)
      return [part, await generate([...pinning.generator, ...generator, ...loadWords(load, endpoint, windowOf(part), pid)])] as const
    })))
  }
}
