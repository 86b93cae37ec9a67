/** Whether oneloop's costs are what they were, as ratios to peers: one that every machine with Node.js has, and one where gcc is. */
import { readFileSync } from 'node:fs'
import { targetsOf } from './report.ts'
import type { ScenarioRun } from './rounds.ts'
import { median, sameRoundRatios } from './statistics.ts'

/** More than what noise does on a shared machine. */
const TOLERATED = 1.5
const SUBJECT = 'oneloop'

/** By peer and scenario: CPU of oneloop per operation, over the peer's. */
export type Expected = Readonly<Record<string, Readonly<Record<string, number>>>>

export const readExpected = (file: string | URL = new URL('expected.json', import.meta.url)): Expected =>
  JSON.parse(readFileSync(file, 'utf8')) as Expected

export interface Checked { readonly isRight: boolean, readonly lines: readonly string[] }

/**
 * Fails what is out in every round: a neighbour spoils one, a dearer oneloop all of them. And, where there is an expected ratio to several
 * peers, against each that was measured: with 64 KiB messages bare Node.js costs 60 or 630 µs from one process to the next, as its memory
 * happens to lie. Nor is it right where nothing could be compared. One line a scenario; the last line says what it comes to.
 */
export function check (runs: readonly ScenarioRun[], expected: Expected): Checked {
  const lines: string[] = []
  let failed = 0
  let passed = 0
  for (const run of runs) {
    const { name } = run.scenario
    const compared = Object.entries(expected).flatMap(([peer, ratios]) => compare(run, peer, ratios[name]))
    const errors = run.measured.filter(({ target }) => target === SUBJECT).reduce((sum, { errors }) => sum + errors, 0)
    const outcome = (isRight: boolean, what: string) => {
      if (isRight) passed++
      else failed++
      lines.push(`  ${isRight ? 'ok    ' : 'FAILED'}  ${name}: ${what}`)
    }
    if (!targetsOf(run).includes(SUBJECT) || errors > 0) outcome(false, `${run.failures[SUBJECT] ?? 'oneloop was not measured'}`)
    else if (compared.length === 0) lines.push(`  -       ${name}: ${Object.values(expected).some((ratios) => name in ratios) ? 'no ratio could be measured' : 'no ratio is expected'}`)
    else outcome(compared.some(({ isRight }) => isRight), compared.map(({ words }) => words).join('; '))
  }
  return { isRight: failed === 0 && passed > 0, lines: [...lines, `bench: ${passed} passed, ${failed} failed`] }
}

/** One, or none where there is nothing to compare. */
function compare (run: ScenarioRun, peer: string, expected: number | undefined): { isRight: boolean, words: string }[] {
  const ratios = sameRoundRatios(run.measured, SUBJECT, peer, ({ cpuUsPerOperation }) => cpuUsPerOperation)
  const [ratio, lowest] = [median(ratios), Math.min(...ratios)]
  if (expected === undefined || ratio === undefined) return []
  const most = expected * TOLERATED
  return [{ isRight: lowest <= most, words: `${ratio.toFixed(2)} × ${peer} (${lowest.toFixed(2)} in the best round; at most ${most.toFixed(2)})` }]
}
