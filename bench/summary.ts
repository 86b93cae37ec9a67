/** All scenarios in two tables: what an operation costs, and what a flood of one protocol does to the others. */
import { baseOf, cpuRatio, heldBytes, inOrder, middle, targetsOf } from './report.ts'
import type { ScenarioRun } from './rounds.ts'
import { floodedPart } from './scenarios.ts'
import { NONE, number, size, time, type Table } from './table.ts'

const allTargets = (runs: readonly ScenarioRun[], order: readonly string[]) => inOrder(runs.flatMap(targetsOf), order)

export function costSummary (runs: readonly ScenarioRun[], order: readonly string[], wantedBase: string): Table | undefined {
  const singles = runs.filter(({ scenario }) => scenario.kind === 'single' && scenario.name !== 'http-page')
  const holds = runs.filter(({ scenario }) => scenario.kind === 'hold')
  if (singles.length + holds.length === 0) return undefined
  return {
    title: `CPU of the server per operation, as a multiple of ${wantedBase}`,
    header: ['target', ...singles.map(({ scenario }) => scenario.name), ...holds.map(({ scenario }) => `${scenario.name}, RSS each`)],
    rows: allTargets([...singles, ...holds], order).map((target) => [
      target,
      ...singles.map((run) => {
        const ratio = number(cpuRatio(run, target, baseOf(run, wantedBase)))
        return target === wantedBase ? `1 (${time(middle(run, target, ({ cpuUsPerOperation }) => cpuUsPerOperation))})` : ratio === NONE ? '' : ratio
      }),
      ...holds.map((run) => targetsOf(run).includes(target) ? size(heldBytes(run, target)) : '')
    ]),
    notes: []
  }
}

/** Milliseconds of the light clients of the protocols that are not flooded: the lowest and highest p50, and the highest p99. */
export function fairnessSummary (runs: readonly ScenarioRun[], order: readonly string[]): Table | undefined {
  const floods = runs.filter(({ scenario }) => scenario.kind === 'flood')
  if (floods.length === 0) return undefined
  return {
    title: 'Light clients of the other protocols during a flood of one',
    header: ['target', ...floods.map(({ scenario }) => scenario.name)],
    rows: allTargets(floods, order).map((target) => [target, ...floods.map((run) => fairness(run, target))]),
    notes: ['p50 of the best and the worst served protocol, and the highest p99; every round\'s median']
  }
}

function fairness (run: ScenarioRun, target: string): string {
  if (!targetsOf(run).includes(target)) return ''
  const flooded = floodedPart(run.scenario)
  const others = Object.keys(run.scenario.loads).filter((name) => name !== 'flood' && name !== flooded)
  const answered = others.filter((name) => (middle(run, target, ({ parts }) => parts[name]?.operations) ?? 0) > 0)
  const values = (key: 'p50' | 'p99') => answered.flatMap((name) => middle(run, target, ({ parts }) => parts[name]?.[key]) ?? [])
  const unanswered = others.filter((name) => !answered.includes(name))
  const ms = (us: number) => number(us / 1000, us < 10_000 ? 2 : 1)
  const figures = answered.length > 0 ? `${[...new Set([Math.min(...values('p50')), Math.max(...values('p50'))].map(ms))].join('–')} ms, p99 ${ms(Math.max(...values('p99')))} ms` : ''
  return [figures, unanswered.length > 0 ? `no answers: ${unanswered.join(', ')}` : ''].filter(Boolean).join('; ')
}
