/**
 * The benchmark: oneloop and its peers under the same load, in turn, and what an operation costs each of them.
 *
 *   npm run bench -- --help
 *
 * Exits with 1 where oneloop could not be measured or --check fails, with 2 where the command was wrong.
 */
import { writeFileSync } from 'node:fs'
import { targetAgainst } from './against.ts'
import { chart } from './chart.ts'
import { check, readExpected } from './check.ts'
import { cleanUp, cleanUpOnSignals } from './children.ts'
import { bestGenerator, generatorWords } from './generator.ts'
import { OptionError } from './load/options.ts'
import { describeMachine, pinning } from './machine.ts'
import { benchOptions, USAGE, type BenchOptions } from './options.ts'
import { scenarioTable, targetsOf } from './report.ts'
import { Bench, type ScenarioRun } from './rounds.ts'
import { scenarios } from './scenarios.ts'
import { costSummary, fairnessSummary } from './summary.ts'
import { renderMarkdown, renderText, type Table } from './table.ts'
import { targets, type Target } from './targets.ts'

const ALL_WAITS_MS = 900_000
const QUICK_ALL_WAITS_MS = 10_000
/** It takes less than two minutes, the build and the last round included. */
const QUICK_MS = 95_000
const WARMUP_SECONDS = 0.3
const QUICK_WARMUP_SECONDS = 0.2

function list (): string {
  const wide = Math.max(...scenarios.map(({ name }) => name.length))
  return [
    'scenarios',
    ...scenarios.map(({ name, summary }) => `  ${name.padEnd(wide)}  ${summary}`),
    '',
    'targets',
    ...targets.map((target) => `  ${target.name.padEnd(wide)}  ${target.missing() ? `missing: ${target.missing()}` : `${target.version()}: ${target.description}`}`),
    '',
    `load generator: ${bestGenerator()}`
  ].join('\n')
}

/** Those that were asked for and are here; throws for one that was named and is not, unless --quick named it. */
async function chosenTargets ({ targets: names, against, isQuick }: BenchOptions): Promise<{ chosen: Target[], missing: string[] }> {
  const all = [...targets, ...(against.length > 0 ? [await targetAgainst(against)] : [])]
  const wanted = names ? all.filter(({ name }) => names.includes(name) || name === 'against') : all
  const absent = wanted.filter((target) => target.missing() !== undefined)
  if (names && !isQuick && absent[0]) throw new OptionError(`${absent[0].name} cannot be measured here: ${absent[0].missing()}`)
  return { chosen: wanted.filter((target) => !absent.includes(target)), missing: absent.map((target) => `${target.name} is left out: ${target.missing()}`) }
}

/** The machine and everything else that figures depend on. */
function circumstances (options: BenchOptions, chosen: readonly Target[], missing: readonly string[], generator: string, isPinned: boolean): string[] {
  return [
    `Machine: ${describeMachine()}`,
    `Date: ${new Date().toISOString().slice(0, 16).replace('T', ' ')} UTC`,
    `Command: npm run bench${process.argv.length > 2 ? ` -- ${process.argv.slice(2).join(' ')}` : ''}`,
    `Rounds: ${options.rounds} of ${options.seconds} s, interleaved; load generator: ${generator}; ${isPinned ? 'server on CPU 0, generator on CPU 1' : 'not pinned to CPUs, so figures are less steady'}`,
    ...chosen.map((target) => `${target.name}: ${target.version()} (${target.description})`),
    ...missing
  ]
}

async function main (options: BenchOptions): Promise<number> {
  const { chosen, missing } = await chosenTargets(options)
  const order = chosen.map(({ name }) => name)
  const base = options.base ?? (order.includes('c') ? 'c' : 'node')
  const generator = options.generator ?? bestGenerator()
  const pins = pinning()
  const say = options.json === '-' ? console.error : console.log
  const facts = circumstances(options, chosen, missing, generator, pins.isPinned)
  say(`${facts.join('\n')}\n`)

  const deadline = options.isQuick ? performance.now() + QUICK_MS : Infinity
  const bench = new Bench({
    rounds: options.rounds,
    window: { seconds: options.seconds, warmup: options.isQuick ? QUICK_WARMUP_SECONDS : WARMUP_SECONDS },
    pinning: pins,
    generator: generatorWords(generator),
    waitMs: options.wait * 1000,
    allWaitsMs: options.isQuick ? QUICK_ALL_WAITS_MS : ALL_WAITS_MS,
    deadline,
    isShared: options.isQuick,
    ...(options.hold !== undefined && { holdConnections: options.hold })
  })
  const runs: ScenarioRun[] = []
  const tables: Table[] = []
  for (const scenario of options.scenarios) {
    if (performance.now() > deadline) {
      say(`${scenario.name} is left out: the time is up\n`)
      continue
    }
    const run = await bench.run(scenario, chosen)
    if (run.measured.length === 0 && Object.keys(run.failures).length === 0) continue
    runs.push(run)
    tables.push(scenarioTable(run, order, base))
    say(renderText(tables.at(-1) as Table))
    if (options.json && options.json !== '-') writeFileSync(options.json, asJson(facts, base, runs))
  }
  await bench.stop()

  const summaries = [costSummary(runs, order, base), fairnessSummary(runs, order)].filter((table) => table !== undefined)
  for (const table of summaries) say(renderText(table))
  if (options.json === '-') console.log(asJson(facts, base, runs))
  if (options.markdown) writeFileSync(options.markdown, [facts.map((fact) => `- ${fact}`).join('\n'), '', ...[...summaries, ...tables].map(renderMarkdown)].join('\n'))
  if (options.svg) {
    const svg = chart(runs, order, base, facts.slice(0, 3).join('. '))
    if (svg) writeFileSync(options.svg, svg)
    else say(`No chart: there are no ratios to ${base}`)
  }
  if (options.isCheck) {
    const { isRight, lines } = check(runs, readExpected(options.expected))
    say(lines.join('\n'))
    return isRight ? 0 : 1
  }
  const own = ['oneloop', 'against'].filter((name) => order.includes(name))
  return runs.some((run) => own.some((name) => run.failures[name] && !targetsOf(run).includes(name))) ? 1 : 0
}

const asJson = (facts: readonly string[], base: string, runs: readonly ScenarioRun[]): string =>
  `${JSON.stringify({ facts, base, runs: runs.map(({ scenario, ...run }) => ({ scenario: scenario.name, ...run })) }, undefined, 1)}\n`

cleanUpOnSignals()
try {
  const options = benchOptions(process.argv.slice(2))
  if (options.isHelp) console.log(USAGE)
  else if (options.isList) console.log(list())
  else process.exitCode = await main(options)
} catch (error) {
  console.error(`bench: ${error instanceof OptionError ? `${error.message}; --help tells the options` : (error as Error).stack}`)
  process.exitCode = error instanceof OptionError ? 2 : 1
} finally {
  cleanUp()
}
