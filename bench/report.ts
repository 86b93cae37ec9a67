/** What the rounds of a scenario come to: a table of each. */
import type { LoadResult } from './load/result.ts'
import type { Measured, ScenarioRun } from './rounds.ts'
import { median, sameRoundRatio } from './statistics.ts'
import { NONE, number, size, time, type Table } from './table.ts'

/** Shares of a CPU from which on a process has no more to give. */
const FULL = 0.95
const LIMITED = '†'

export const baseOf = (run: ScenarioRun, wanted: string): string =>
  run.measured.some(({ target }) => target === wanted) ? wanted : 'node'

export const targetsOf = (run: ScenarioRun): string[] => [...new Set(run.measured.map(({ target }) => target))]

export const cpuRatio = (run: ScenarioRun, target: string, base: string): number | undefined =>
  sameRoundRatio(run.measured, target, base, ({ cpuUsPerOperation }) => cpuUsPerOperation)

/** The median of a target's rounds. */
export const middle = (run: ScenarioRun, target: string, read: (measured: Measured) => number | null | undefined): number | undefined =>
  median(run.measured.filter((one) => one.target === target).map(read))

const total = (run: ScenarioRun, target: string, read: (measured: Measured) => number): number =>
  run.measured.filter((one) => one.target === target).reduce((sum, one) => sum + read(one), 0)

/** In the order of the plan, which a rotated first round would not keep. */
export function inOrder (names: readonly string[], order: readonly string[]): string[] {
  return order.filter((name) => names.includes(name))
}

const isGeneratorFull = (run: ScenarioRun, target: string): boolean =>
  (middle(run, target, ({ generatorCpu }) => generatorCpu) ?? 0) >= FULL && (middle(run, target, ({ serverCpu }) => serverCpu) ?? 0) < FULL

function notesOf (run: ScenarioRun, targets: readonly string[], base: string): string[] {
  const others = run.others.map((share) => share === undefined ? NONE : number(share, 1)).join(' ')
  const { kind } = run.scenario
  const ratios = kind === 'hold' ? `×${base}: CPU per connection opened. ` : `×${base}: CPU per operation${kind === 'single' ? '' : ' of all clients together'}, median of the ratios within a round. `
  return [
    `${ratios}CPUs taken by others before each round: ${others}`,
    ...(kind === 'single' && targets.some((target) => isGeneratorFull(run, target)) ? [`${LIMITED} the load generator, not the server, was the limit: ops/s and latencies are its own`] : []),
    ...run.notes,
    ...Object.entries(run.failures).map(([target, why]) => `${target}: ${why}`)
  ]
}

const memory = (run: ScenarioRun, target: string) =>
  number((middle(run, target, ({ residentKb }) => residentKb) ?? Number.NaN) / 1024, 0)

const costs = (run: ScenarioRun, target: string, base: string): string[] => [
  time(middle(run, target, ({ cpuUsPerOperation }) => cpuUsPerOperation)),
  number(cpuRatio(run, target, base), 2),
  number(middle(run, target, ({ serverCpu }) => serverCpu), 2),
  number(middle(run, target, ({ generatorCpu }) => generatorCpu), 2),
  memory(run, target)
]
const COSTS = ['server CPU', 'generator CPU', 'RSS MB']

function errorsCell (run: ScenarioRun, target: string): string {
  const lost = total(run, target, ({ lost }) => lost)
  return `${total(run, target, ({ errors }) => errors)}${lost > 0 ? ` + ${lost} lost` : ''}`
}

const part = (name: string, read: (result: LoadResult) => number) => ({ parts }: Measured) => parts[name] && read(parts[name])
const latencies = (run: ScenarioRun, target: string, name: string, keys: readonly ('p50' | 'p90' | 'p99')[]) =>
  keys.map((key) => time(middle(run, target, part(name, (result) => result[key]))))

function singleTable (run: ScenarioRun, targets: readonly string[], base: string): Pick<Table, 'header' | 'rows'> {
  const [name = ''] = Object.keys(run.scenario.loads)
  return {
    header: ['target', 'ops/s', 'p50', 'p90', 'p99', 'CPU/op', `×${base}`, ...COSTS, 'errors'],
    rows: targets.map((target) => [
      target,
      `${number(middle(run, target, ({ operationsPerSecond }) => operationsPerSecond), 0)}${isGeneratorFull(run, target) ? ` ${LIMITED}` : ''}`,
      ...latencies(run, target, name, ['p50', 'p90', 'p99']),
      ...costs(run, target, base),
      errorsCell(run, target)
    ])
  }
}

/** The rows tell what each client saw; CPU per operation is of all of them together, and under a flood mostly the flood's. */
function mixedTable (run: ScenarioRun, targets: readonly string[], base: string): Pick<Table, 'header' | 'rows'> {
  return {
    header: ['target', 'client', 'ops/s', 'p50', 'p90', 'p99', 'CPU/op', `×${base}`, ...COSTS, 'errors'],
    rows: targets.flatMap((target) => Object.keys(run.scenario.loads).map((name, i) => [
      i === 0 ? target : '',
      name,
      number(middle(run, target, part(name, ({ operations, seconds }) => operations / seconds)), 0),
      ...latencies(run, target, name, ['p50', 'p90', 'p99']),
      ...(i === 0 ? [...costs(run, target, base), errorsCell(run, target)] : ['', '', '', '', '', ''])
    ]))
  }
}

export const heldBytes = (run: ScenarioRun, target: string): number | undefined =>
  middle(run, target, ({ parts }) => Object.values(parts)[0]?.hold?.bytesEach)

function holdTable (run: ScenarioRun, targets: readonly string[], base: string): Pick<Table, 'header' | 'rows'> {
  const [name = ''] = Object.keys(run.scenario.loads)
  const hold = (target: string, read: (hold: NonNullable<LoadResult['hold']>) => number | null) =>
    middle(run, target, ({ parts }) => parts[name]?.hold && read(parts[name].hold))
  return {
    header: ['target', 'opened', 'alive', 'open/s', 'CPU/open', `×${base}`, 'RSS each', 'p50 alone', 'p50', 'p99 alone', 'p99', 'RSS MB', 'errors'],
    rows: targets.map((target) => [
      target,
      number(hold(target, ({ opened }) => opened), 0),
      number(hold(target, ({ alive }) => alive), 0),
      number(hold(target, ({ opened, openSeconds }) => opened / openSeconds), 0),
      time(hold(target, ({ openCpuUs }) => openCpuUs)),
      number(sameRoundRatio(run.measured, target, base, ({ parts }) => parts[name]?.hold?.openCpuUs), 2),
      size(hold(target, ({ bytesEach }) => bytesEach)),
      time(hold(target, ({ alone50 }) => alone50)),
      ...latencies(run, target, name, ['p50']),
      time(hold(target, ({ alone99 }) => alone99)),
      ...latencies(run, target, name, ['p99']),
      memory(run, target),
      errorsCell(run, target)
    ])
  }
}

export function scenarioTable (run: ScenarioRun, order: readonly string[], wantedBase: string): Table {
  const { name, kind, summary } = run.scenario
  const base = baseOf(run, wantedBase)
  const targets = inOrder(targetsOf(run), order)
  const table = kind === 'single' ? singleTable : kind === 'hold' ? holdTable : mixedTable
  const { header, rows } = table(run, targets, base)
  const failed = inOrder(Object.keys(run.failures).filter((target) => !targets.includes(target)), order)
  return {
    title: `${name}: ${summary}`,
    header,
    rows: [...rows, ...failed.map((target) => [target, 'failed', ...header.slice(2).map(() => '')])],
    notes: notesOf(run, targets, base)
  }
}
