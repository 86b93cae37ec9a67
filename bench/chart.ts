/** The chart: bars of CPU per operation against the base, grouped by scenario, on a logarithmic scale, as SVG. */
import { baseOf, cpuRatio, inOrder, targetsOf } from './report.ts'
import type { ScenarioRun } from './rounds.ts'

/** Of middle lightness, to be told apart on white and on black. */
const COLOURS = ['#d9534f', '#4f86c6', '#3fa37c', '#b5893c', '#8f6bb3', '#7d8590'] as const
const TEXT = '#7d8590'
const GRID = '#7d859055'
const FONT = 'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="12"'
const WIDTH = 860
const LEFT = 130
const RIGHT = 60
const TOP = 64
const BAR = 11
const GROUP_GAP = 12
const BOTTOM = 34
const TICKS = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500]

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
export const escaped = (text: string): string => text.replaceAll(/[&<>"']/g, (character) => escapes[character] ?? '')

const label = (x: number, y: number, text: string, more = '') => `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" fill="${TEXT}" ${more}>${escaped(text)}</text>`

interface Group { readonly name: string, readonly bars: readonly { readonly target: string, readonly ratio: number }[] }

/** Undefined where no ratio was measured. */
export function chart (runs: readonly ScenarioRun[], order: readonly string[], wantedBase: string, caption: string): string | undefined {
  const groups: Group[] = runs.filter(({ scenario }) => scenario.kind === 'single').map((run) => {
    const base = baseOf(run, wantedBase)
    const bars = inOrder(targetsOf(run), order).filter((target) => target !== base).flatMap((target) => {
      const ratio = cpuRatio(run, target, base)
      return ratio ? [{ target, ratio }] : []
    })
    return { name: run.scenario.name, bars: base === wantedBase ? bars : [] }
  }).filter(({ bars }) => bars.length > 0)
  const ratios = groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio))
  if (ratios.length === 0) return undefined

  const low = TICKS.findLast((tick) => tick <= Math.min(1, ...ratios)) ?? 0.1
  const high = TICKS.find((tick) => tick >= Math.max(2, ...ratios)) ?? Math.max(...ratios)
  const x = (ratio: number) => LEFT + (WIDTH - LEFT - RIGHT) * Math.log(Math.max(ratio, low) / low) / Math.log(high / low)
  const targets = inOrder(groups.flatMap(({ bars }) => bars.map(({ target }) => target)), order)
  const colour = (target: string) => COLOURS[targets.indexOf(target) % COLOURS.length] ?? TEXT
  const height = TOP + groups.reduce((sum, { bars }) => sum + bars.length * BAR + GROUP_GAP, 0) + BOTTOM

  const parts: string[] = []
  for (const tick of TICKS.filter((tick) => tick >= low && tick <= high)) {
    parts.push(`<line x1="${x(tick).toFixed(1)}" x2="${x(tick).toFixed(1)}" y1="${TOP - 6}" y2="${height - BOTTOM}" stroke="${tick === 1 ? TEXT : GRID}"/>`)
    parts.push(label(x(tick), height - BOTTOM + 16, `${tick}×`, 'text-anchor="middle"'))
  }
  targets.forEach((target, i) => {
    parts.push(`<rect x="${LEFT + i * 110}" y="34" width="12" height="12" rx="2" fill="${colour(target)}"/>`)
    parts.push(label(LEFT + i * 110 + 17, 44, target))
  })
  let y = TOP
  for (const { name, bars } of groups) {
    parts.push(label(LEFT - 8, y + bars.length * BAR / 2 + 4, name, 'text-anchor="end"'))
    for (const { target, ratio } of bars) {
      const [from, to] = [Math.min(x(1), x(ratio)), Math.max(x(1), x(ratio))]
      parts.push(`<rect x="${from.toFixed(1)}" y="${y}" width="${Math.max(1, to - from).toFixed(1)}" height="${BAR - 2}" fill="${colour(target)}"><title>${escaped(`${name}, ${target}: ${ratio.toFixed(2)}`)}</title></rect>`)
      parts.push(label(to + 4, y + BAR - 3, ratio.toFixed(ratio < 10 ? 2 : 0), 'font-size="9"'))
      y += BAR
    }
    y += GROUP_GAP
  }
  const title = `CPU of the server per operation, as a multiple of ${wantedBase}`
  const description = groups.map(({ name, bars }) => `${name}: ${bars.map(({ target, ratio }) => `${target} ${ratio.toFixed(2)}`).join(', ')}`).join('; ')
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title description" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" ${FONT}>`,
    `<title id="title">${escaped(title)}</title>`,
    `<desc id="description">${escaped(`${description}. ${caption}`)}</desc>`,
    label(LEFT, 20, `${title} (logarithmic; shorter is cheaper)`, 'font-weight="600"'),
    ...parts,
    '</svg>',
    ''
  ].join('\n')
}
