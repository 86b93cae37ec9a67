/** The bench's command line. */
import { parseArgs } from 'node:util'
import type { GeneratorName } from './generator.ts'
import { OptionError } from './load/options.ts'
import { QUICK, scenarios, type Scenario } from './scenarios.ts'
import { targets } from './targets.ts'

export const USAGE = `npm run bench -- [SCENARIO…] [options]

  --list              the scenarios, and which peers are here
  --quick             ${QUICK.length} scenarios against bare Node.js (and C where gcc is), in under two minutes
  --targets A,B       of ${targets.map(({ name }) => name).join(', ')}; all that are here, if not given
  --base NAME         what ratios are to; c where gcc is, else node
  --rounds N          interleaved rounds of each scenario, 1-100 (5; 3 with --quick)
  --seconds S         of each round, 0.1-30 (1.5; 0.7 with --quick)
  --wait S            before a round, for others to leave the machine alone, 0-20 (20; 2 with --quick)
  --hold N            idle connections of the hold scenarios, 1-50000 (15000)
  --generator NAME    c or node; c where gcc is
  --against URL       measures another server too: http://, ws://, tcp:// (an echo), udp:// (an echo); may be repeated
  --check             exits with 1 where a ratio to bare Node.js is in every round over 1.5 times that of bench/expected.json
  --expected FILE     that file's place
  --json FILE         all rounds as JSON; - prints them, and the tables go to standard error
  --markdown FILE     the tables in Markdown
  --svg FILE          the chart
  --help`

export interface BenchOptions {
  readonly scenarios: readonly Scenario[]
  /** Undefined: all that are here. */
  readonly targets: readonly string[] | undefined
  readonly base: string | undefined
  readonly rounds: number
  readonly seconds: number
  readonly wait: number
  readonly hold: number | undefined
  readonly generator: GeneratorName | undefined
  readonly against: readonly string[]
  readonly isQuick: boolean
  readonly isCheck: boolean
  readonly isList: boolean
  readonly isHelp: boolean
  readonly expected: string | undefined
  readonly json: string | undefined
  readonly markdown: string | undefined
  readonly svg: string | undefined
}

const isGenerator = (name: string): name is GeneratorName => name === 'c' || name === 'node'

/** Throws an OptionError that says what is wrong. */
export function benchOptions (words: readonly string[]): BenchOptions {
  const { values, positionals } = parse(words)
  const number = (name: 'rounds' | 'seconds' | 'wait' | 'hold', usual: number, low: number, high: number) => {
    const value = values[name] === undefined ? usual : Number(values[name])
    if (!(value >= low && value <= high) || (['rounds', 'hold'].includes(name) && !Number.isInteger(value))) throw new OptionError(`--${name} takes ${low}-${high}`)
    return value
  }
  const names = positionals.length > 0 ? positionals : values.quick ? QUICK : scenarios.map(({ name }) => name)
  const known = [...targets.map(({ name }) => name), ...(values.against ? ['against'] : [])]
  const chosen = values.targets?.split(',') ?? (values.quick ? ['oneloop', 'node', 'c'] : undefined)
  for (const name of [...(chosen ?? []), ...(values.base === undefined ? [] : [values.base])]) {
    if (!known.includes(name)) throw new OptionError(`no target ${name}; there are ${known.join(', ')}`)
  }
  const { generator } = values
  if (generator !== undefined && !isGenerator(generator)) throw new OptionError('--generator takes c or node')
  return {
    scenarios: names.map((name) => {
      const scenario = scenarios.find((one) => one.name === name)
      if (!scenario) throw new OptionError(`no scenario ${name}; --list has them all`)
      return scenario
    }),
    targets: chosen,
    base: values.base,
    rounds: number('rounds', values.quick ? 3 : 5, 1, 100),
    seconds: number('seconds', values.quick ? 0.7 : 1.5, 0.1, 30),
    wait: number('wait', values.quick ? 2 : 20, 0, 20),
    hold: values.hold === undefined ? undefined : number('hold', 0, 1, 50_000),
    generator,
    against: values.against ?? [],
    isQuick: values.quick,
    isCheck: values.check,
    isList: values.list,
    isHelp: values.help,
    expected: values.expected,
    json: values.json,
    markdown: values.markdown,
    svg: values.svg
  }
}

function parse (words: readonly string[]) {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  try {
    return parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        quick: flag,
        check: flag,
        list: flag,
        help: flag,
        targets: text,
        base: text,
        rounds: text,
        seconds: text,
        wait: text,
        hold: text,
        generator: text,
        against: { type: 'string', multiple: true },
        expected: text,
        json: text,
        markdown: text,
        svg: text
      }
    })
  } catch (error) {
    throw new OptionError((error as Error).message)
  }
}
