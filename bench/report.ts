/** Reports the rounds: medians, ratios within a round, and tables. */
import type { RowRun, Sample } from './rounds.ts'

export interface Table {
  readonly title: string
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
  readonly notes?: readonly string[]
}

type Value = number | null | undefined
const NONE = 'n/a'
/** The share of a CPU above which a process counts as saturated. */
const FULL = 0.95

function median (values: readonly Value[]): number | undefined {
  const sorted = values.filter((value) => typeof value === 'number').sort((a, b) => a - b)
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

const middle = (samples: readonly Sample[], read: (sample: Sample) => Value) => median(samples.map(read))
const cpuPerOperation = ({ serverCpu, operations }: Sample) => serverCpu === null || operations === 0 ? null : serverCpu / operations

function number (value: Value): string {
  if (typeof value !== 'number') return NONE
  const digits = value >= 100 ? 0 : value >= 10 ? 1 : 2
  return value.toLocaleString('en-US', { minimumFractionDigits: digits, maximumFractionDigits: digits })
}

const time = (us: Value) => typeof us === 'number' && us >= 1000 ? `${number(us / 1000)} ms` : typeof us === 'number' ? `${number(us)} µs` : NONE

/** CPU per operation, divided by that of bare Node.js in the same round: both then ran under the same conditions. */
function ratio (own: readonly Sample[], { samples }: RowRun): string {
  const values = own.flatMap((sample) => {
    const base = samples.find(({ target, round }) => target === 'node' && round === sample.round)
    const [cost, baseCost] = [cpuPerOperation(sample), base && cpuPerOperation(base)]
    return cost && baseCost ? [cost / baseCost] : []
  })
  if (values.length === 0 || own[0]?.target === 'node') return values.length === 0 ? NONE : '1'
  return `${number(median(values))} (${number(Math.min(...values))}–${number(Math.max(...values))})`
}

/** Operations per second; † if the generator, and not the server, was saturated. */
function rate (own: readonly Sample[]): string {
  const share = (read: (sample: Sample) => number | null) => middle(own, (sample) => (read(sample) ?? Infinity) / sample.seconds / 1e6) ?? 0
  const isLimited = share(({ generatorCpu }) => generatorCpu) > FULL && share(({ serverCpu }) => serverCpu) < FULL
  return `${number(middle(own, ({ operations, seconds }) => operations / seconds))}${isLimited ? ' †' : ''}`
}

const kib = (own: readonly Sample[]) => {
  const bytes = middle(own, ({ bytesEach }) => bytesEach)
  return bytes === undefined ? NONE : `${number(bytes / 1024)} KiB`
}
const cost = (own: readonly Sample[]) => time(middle(own, cpuPerOperation))
const p50 = (own: readonly Sample[]) => time(middle(own, (sample) => sample.p50))
const p99 = (own: readonly Sample[]) => time(middle(own, (sample) => sample.p99))
const errors = (own: readonly Sample[]) => String(own.reduce((sum, sample) => sum + sample.errors, 0))

const COLUMNS: Readonly<Record<RowRun['row']['kind'], Readonly<Record<string, (own: readonly Sample[], run: RowRun) => string>>>> = {
  load: { 'CPU/op': cost, '× node': ratio, 'ops/s': rate, p50, p99, errors },
  hold: { 'RSS each': kib, 'CPU/open': cost, '× node': ratio, 'open/s': rate, errors },
  flood: { client: (own) => own[0]?.client ?? '', 'ops/s': rate, p50, p99, errors }
}

const unique = (values: readonly string[]) => [...new Set(values)]

/** The table of a row, with its targets in the given order. */
export function rowTable (run: RowRun, order: readonly string[]): Table {
  const columns = COLUMNS[run.row.kind]
  return {
    title: `${run.row.name}: ${run.row.summary}`,
    header: ['target', ...Object.keys(columns)],
    rows: order.flatMap((target) => {
      const own = run.samples.filter((sample) => sample.target === target)
      return unique(own.map(({ client }) => client)).map((client) => [target, ...Object.values(columns).map((read) => read(own.filter((sample) => sample.client === client), run))])
    }),
    notes: unique([
      ...run.samples.filter(({ note, client }) => note && client !== 'flood').map(({ target, note }) => `${target}: ${note}`),
      ...Object.entries(run.failures).map(([target, why]) => `${target} could not be measured: ${why}`)
    ])
  }
}

/** A line for each row of loads. */
export const summary = (runs: readonly RowRun[], order: readonly string[]): Table => ({
  title: 'CPU of the server per operation, × node: the median of the rounds (lowest–highest)',
  header: ['row', ...order],
  rows: runs.filter(({ row }) => row.kind === 'load').map((run) => [run.row.name, ...order.map((target) => ratio(run.samples.filter((sample) => sample.target === target), run))])
})

/** Renders Markdown, with aligned columns for a terminal. */
export function render ({ title, header, rows, notes = [] }: Table): string {
  const widths = header.map((label, column) => Math.max(label.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) => `| ${cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join(' | ')} |`
  const rule = widths.map((width, column) => column === 0 ? '-'.repeat(width) : `${'-'.repeat(width - 1)}:`)
  return [`### ${title}`, '', ...[header, rule, ...rows].map(line), '', ...notes.flatMap((note) => [note, ''])].join('\n')
}
