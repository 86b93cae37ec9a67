/**
 * The benchmark: puts oneloop and its peers under the same load in turn, and measures the cost of an operation.
 *
 *   npm run bench -- --help
 *
 * Exits with 1 if oneloop or a server of --against could not be measured or made an error, and with 2 if the command was wrong.
 */
import { writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { parseArgs } from 'node:util'
import { cleanUpAtTheEnd } from './children.ts'
import { render, rowTable, summary } from './report.ts'
import { isPinned, needs, runRow, type RowRun } from './rounds.ts'
import { HOLD, QUICK, rows, type Row } from './rows.ts'
import { targetAgainst, targets, UsageError, type Target } from './targets.ts'

const USAGE = `npm run bench -- [ROW…] [options]

  --list              lists the rows and the targets
  --quick             ${QUICK.length} rows against bare Node.js, in under two minutes
  --targets A,B       any of ${targets.map(({ name }) => name).join(', ')} (default: all)
  --rounds N          interleaved rounds of each row, 1-50 (5; 3 with --quick)
  --seconds S         length of each round, 0.1-30 (1.5; 0.5 with --quick)
  --hold N            idle connections of the hold rows, 1-50000 (${HOLD})
  --default-limits    the flood rows, and oneloop with its default settings instead of PROFILE=bench
  --against URL       measures your own server: http://, ws://, tcp:// or udp:// (an echo); may be repeated
  --json FILE         writes every round to a file
  --help`

function parse () {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const flags = { list: flag, quick: flag, 'default-limits': flag, help: flag }
  try {
    return parseArgs({ allowPositionals: true, options: { ...flags, targets: text, rounds: text, seconds: text, hold: text, json: text, against: { ...text, multiple: true } } })
  } catch (error) {
    throw new UsageError((error as Error).message.split('. ')[0])
  }
}
type Values = ReturnType<typeof parse>['values']

function named<T extends { readonly name: string }> (what: string, all: readonly T[], names: readonly string[]): T[] {
  return [...new Set(names)].map((name) => {
    const found = all.find((one) => one.name === name)
    if (!found) throw new UsageError(`no ${what} ${name}; there are ${all.map((one) => one.name).join(', ')}`)
    return found
  })
}

function numberOf (values: Values, name: 'rounds' | 'seconds' | 'hold', usual: number, low: number, high: number): number {
  const value = Number(values[name] ?? usual)
  if (!(value >= low && value <= high) || (name !== 'seconds' && !Number.isInteger(value))) throw new UsageError(`--${name} takes ${low}-${high}`)
  return value
}

/** The chosen targets, or all that are available. */
function chosenTargets ({ targets: names, against = [], quick }: Values): Target[] {
  const others = [...new Set(against)].map(targetAgainst)
  if (names === undefined && others.length > 0) return others
  if (names === undefined && !quick) return [...targets]
  return [...named('target', targets, names?.split(',') ?? ['oneloop', 'node']), ...others]
}

/** The chosen rows; at least one of the targets must be able to run one of them. */
function chosenRows ({ quick, against = [], 'default-limits': isLimited }: Values, names: readonly string[], able: (row: Row) => Target[]): Row[] {
  const usual = ({ name, kind }: Row) => isLimited ? kind === 'flood' : quick && against.length === 0 ? QUICK.includes(name) : true
  const chosen = names.length > 0 ? named('row', rows, names) : rows.filter(usual)
  if (isLimited && chosen.some(({ kind }) => kind !== 'flood')) throw new UsageError('--default-limits is for the flood rows: the limits cut all other loads')
  const possible = chosen.filter((row) => able(row).length > 0)
  if (possible.length === 0) throw new UsageError('none of these targets can be measured in these rows')
  return possible
}

function list (): string {
  const line = (name: string, text: string) => `  ${name.padEnd(16)}${text}`
  return ['rows', ...rows.map(({ name, summary }) => line(name, summary)), '', 'targets', ...targets.map(({ name, description }) => line(name, description))].join('\n')
}

async function main (): Promise<number> {
  const { values, positionals } = parse()
  if (values.help || values.list) {
    console.log(values.help ? USAGE : list())
    return 0
  }
  const plan = {
    rounds: numberOf(values, 'rounds', values.quick ? 3 : 5, 1, 50),
    seconds: numberOf(values, 'seconds', values.quick ? 0.5 : 1.5, 0.1, 30),
    hold: numberOf(values, 'hold', HOLD, 1, 50_000),
    warmup: values.quick ? 0.15 : 0.3,
    isLimited: values['default-limits']
  }
  const chosen = chosenTargets(values)
  // A hold row shows only CPU time and memory, which are unknown for a server of --against.
  const able = (row: Row) => chosen.filter(({ name, provides }) => needs(row).every((protocol) => provides.includes(protocol)) && !(row.kind === 'hold' && name.includes('://')))
  const wanted = chosenRows(values, positionals, able)
  const order = chosen.map(({ name }) => name)
  const facts = [
    `Machine: ${cpus().length} × ${cpus()[0]?.model.trim()}, ${process.platform} ${release()}`,
    `Date: ${new Date().toISOString().slice(0, 16)}Z`,
    `Node.js: ${process.version}`,
    `Command: npm run bench -- ${process.argv.slice(2).join(' ')}`,
    `Rounds: ${plan.rounds} of ${plan.seconds} s, interleaved; ${isPinned ? 'server on CPU 0, load generator on CPU 1' : 'server and load generator share the CPUs'}`,
    ...chosen.map(({ name, description }) => `${name}: ${description}${name !== 'oneloop' ? '' : plan.isLimited ? ', default settings' : ', PROFILE=bench'}`)
  ]
  console.log(`${facts.join('\n')}\n`)

  const runs: RowRun[] = []
  for (const row of wanted) {
    const run = await runRow(row, able(row), plan)
    runs.push(run)
    console.log(render(rowTable(run, order)))
    const json = { facts, samples: runs.flatMap(({ samples }) => samples), failures: runs.map((one) => ({ row: one.row.name, ...one.failures })) }
    if (values.json) writeFileSync(values.json, `${JSON.stringify(json, undefined, 1)}\n`)
  }
  if (order.includes('node') && runs.some(({ row }) => row.kind === 'load')) console.log(render(summary(runs, order)))

  const own = ['oneloop', ...values.against ?? []]
  const isWrong = ({ row, samples, failures }: RowRun) => own.some((name) => failures[name] ||
    samples.some(({ target, errors, operations }) => target === name && row.kind !== 'flood' && (errors > 0 || operations === 0)))
  return runs.some(isWrong) ? 1 : 0
}

cleanUpAtTheEnd()
try {
  process.exitCode = await main()
} catch (error) {
  console.error(`bench: ${error instanceof UsageError ? `${error.message}; see --help` : (error as Error).stack}`)
  process.exitCode = error instanceof UsageError ? 2 : 1
}
