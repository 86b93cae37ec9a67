/** Whether oneloop's costs are what they were, as ratios to a peer that every machine with Node.js has. */
import { readFileSync } from 'node:fs'
import { targetsOf } from './report.ts'
import type { ScenarioRun } from './rounds.ts'
import { median, sameRoundRatios } from './statistics.ts'

/** More than what noise does on a shared machine. */
const TOLERATED = 1.5
const SUBJECT = 'oneloop'

export interface Expected {
  readonly peer: string
  /** By scenario: CPU of oneloop per operation, over the peer's. */
  readonly ratios: Readonly<Record<string, number>>
}

export const readExpected = (file: string | URL = new URL('expected.json', import.meta.url)): Expected =>
  JSON.parse(readFileSync(file, 'utf8')) as Expected

export interface Checked { readonly isRight: boolean, readonly lines: readonly string[] }

/** Fails what is out in every round: a neighbour spoils one, a dearer oneloop all of them. One line a scenario; the last line says what it comes to. */
export function check (runs: readonly ScenarioRun[], { peer, ratios: expectedRatios }: Expected): Checked {
  const lines: string[] = []
  let failed = 0
  let passed = 0
  for (const run of runs) {
    const { name } = run.scenario
    const expected = expectedRatios[name]
    const ratios = sameRoundRatios(run.measured, SUBJECT, peer, ({ cpuUsPerOperation }) => cpuUsPerOperation)
    const [ratio, lowest] = [median(ratios), Math.min(...ratios)]
    const errors = run.measured.filter(({ target }) => target === SUBJECT).reduce((sum, { errors }) => sum + errors, 0)
    const outcome = (isRight: boolean, what: string) => {
      if (isRight) passed++
      else failed++
      lines.push(`  ${isRight ? 'ok    ' : 'FAILED'}  ${name}: ${what}`)
    }
    if (!targetsOf(run).includes(SUBJECT) || errors > 0) outcome(false, `${run.failures[SUBJECT] ?? 'oneloop was not measured'}`)
    else if (expected === undefined || ratio === undefined) lines.push(`  -       ${name}: ${expected === undefined ? 'no ratio is expected' : `no ratio to ${peer}`}`)
    else outcome(lowest <= expected * TOLERATED, `${ratio.toFixed(2)} × ${peer} (${lowest.toFixed(2)} in the best round), expected ${expected.toFixed(2)}, at most ${(expected * TOLERATED).toFixed(2)}`)
  }
  return { isRight: failed === 0, lines: [...lines, `bench: ${passed} passed, ${failed} failed`] }
}
