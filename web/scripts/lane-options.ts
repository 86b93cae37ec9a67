/** How one lane of the chart looks: its curves, its axes, and the lessons as bands behind them. */
import Plot, { type Options } from 'uplot'
import type { Transport } from '../../src/shared/transport.ts'

export type LaneName = Transport | 'delay' | 'utilisation'

export interface Band { readonly id: number, readonly label: string, readonly from: number, to: number | undefined }

/** What all lanes share, and what changes while they are drawn. Times in seconds, the scale in milliseconds. */
export interface View {
  readonly now: number
  readonly scale: number
  readonly bands: readonly Band[]
  colour (name: string): string
}

export interface Look {
  readonly name: LaneName
  readonly colour: string
  readonly curves: number
  /** The topmost lane names the lessons. */
  readonly isFirst: boolean
  readonly width: number
  readonly height: number
}

export const WINDOW_S = 60
const AXIS_PX = 26
const AGES = [-60, -50, -40, -30, -20, -10, 0]
const FONT = 'ui-sans-serif, system-ui, sans-serif'

export function laneOptions ({ name, colour, curves, isFirst, width, height }: Look, view: View): Options {
  // The last has the axis of time, and a scale of its own.
  const isLast = name === 'utilisation'
  const stroke = () => view.colour(colour)
  const axis = { stroke: () => view.colour('muted'), font: `11px ${FONT}`, ticks: { show: false } }
  const grid = { stroke: () => view.colour('line'), width: 1 }
  // A round trip lasts from when it was sent; a sample is of the time before it.
  const paths = Plot.paths.stepped?.({ align: name === 'delay' || isLast ? -1 : 1 })
  const area = { stroke, width: 1.5, fill: () => `${stroke()}38`, points: { show: false }, paths }
  const line = { stroke, width: 1.5, dash: [2, 2], points: { show: false }, paths }
  return {
    width,
    height,
    padding: [8, 14, isLast ? 0 : 6, 0],
    legend: { show: false },
    cursor: { sync: { key: 'oneloop' }, y: false, drag: { setScale: false, x: false, y: false } },
    scales: {
      x: { time: false, range: () => [view.now - WINDOW_S, view.now] },
      y: { range: () => [0, isLast ? 100 : view.scale] }
    },
    axes: [
      {
        ...axis,
        grid,
        size: isLast ? AXIS_PX : 0,
        splits: () => AGES.map((age) => view.now + age),
        values: () => isLast ? AGES.map((age) => age === 0 ? 'now' : `${age} s`) : []
      },
      {
        ...axis,
        grid,
        size: 52,
        splits: () => isLast ? [0, 50, 100] : [0, view.scale / 2, view.scale],
        values: (_plot, splits) => splits.map((split) => isLast ? `${split} %` : split === 0 ? '0' : `${split} ms`)
      }
    ],
    series: [{}, ...Array.from({ length: curves }, (_curve, index) => index === 0 ? area : line)],
    hooks: { drawClear: [(plot) => drawBands(plot, view, isFirst)] }
  }
}

function drawBands (plot: Plot, view: View, isNamed: boolean): void {
  const { ctx, bbox: { left, top, width, height } } = plot
  ctx.save()
  ctx.beginPath()
  ctx.rect(left, top, width, height)
  ctx.clip()
  let labelled = 0
  for (const { from, to = view.now, label } of view.bands) {
    const x = plot.valToPos(from, 'x', true)
    ctx.fillStyle = view.colour('band')
    ctx.fillRect(x, top, plot.valToPos(to, 'x', true) - x, height)
    if (!isNamed) continue
    ctx.fillStyle = view.colour('ink')
    ctx.font = `600 ${11 * devicePixelRatio}px ${FONT}`
    ctx.textAlign = 'right'
    const right = x - 4 * devicePixelRatio
    if (right - ctx.measureText(label).width < labelled) continue
    ctx.fillText(label, right, top + height - 9 * devicePixelRatio)
    labelled = right
  }
  ctx.restore()
}
