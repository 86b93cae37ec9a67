/** The chart under the stage: every round trip of the last seconds, one row a protocol, and the lessons as bands behind them. */
import { LESSONS, PROTOCOLS } from '../../src/shared/names.ts'
import { Canvas } from './canvas.ts'
import { find, findAll } from './dom.ts'
import { PING_MS, type Recording, type Trip } from './recording.ts'
import { DELAY_MS } from './stage.ts'

/** The scale ends a fifth above the length of a lesson: it changes when the visitor chooses another length, and never by itself. */
const HEADROOM = 1.2
const SCALE_WITHOUT_LESSONS_MS = 100
/** The value of a peak is shown if it exceeds this part of the scale. */
const PEAK = 0.2
const HEAD_PX = 24
const AXIS_PX = 24

interface Row { readonly name: string, readonly colour: string, readonly trips: readonly Trip[] }

/** Where the chart's time runs, in pixels. */
interface Axis { readonly left: number, readonly width: number, x (at: number): number }

export class RoundTrips {
  readonly #recording: Recording
  readonly #canvas: Canvas
  readonly #hasProbe: boolean
  readonly #length = document.querySelector<HTMLSelectElement>('#lesson-ms')
  readonly #windows = findAll<HTMLInputElement>('[name="window"]')

  constructor (recording: Recording, hasProbe: boolean, onChange: () => void) {
    this.#recording = recording
    this.#hasProbe = hasProbe
    this.#canvas = new Canvas(find<HTMLCanvasElement>('#round-trips'), onChange)
    this.#length?.addEventListener('change', onChange)
    for (const input of this.#windows) input.addEventListener('change', onChange)
  }

  /** @param now the server's time; undefined while nobody knows it. */
  draw (now: number | undefined): void {
    const canvas = this.#canvas
    const { width, height, isNarrow } = canvas
    canvas.clear()
    const shown = (now ?? 0) - DELAY_MS
    const seconds = Number(this.#windows.find(({ checked }) => checked)?.value ?? 15)
    const left = isNarrow ? 12 : 120
    const axisWidth = width - left - (isNarrow ? 12 : 20)
    const axis: Axis = { left, width: axisWidth, x: (at) => left + axisWidth * (1 - (shown - at) / (1000 * seconds)) }
    const rows = this.#rows()
    const rowHeight = (height - HEAD_PX - AXIS_PX) / rows.length
    this.#drawAxis(axis, shown, seconds, isNarrow)
    if (now !== undefined) this.#drawBands(axis, shown, isNarrow)
    for (const [index, row] of rows.entries()) {
      const base = HEAD_PX + rowHeight * (index + 1) - 5
      if (!isNarrow) canvas.text(row.name, 20, base - rowHeight / 2 + 6, { colour: row.colour, weight: 650 })
      this.#drawRow(row, axis, shown, base, rowHeight - 7, isNarrow)
    }
  }

  #rows (): Row[] {
    return this.#hasProbe
      ? this.#recording.lanes.map(({ transport, trips }) => ({ name: PROTOCOLS[transport], colour: transport, trips }))
      : [{ name: 'Loop delay', colour: 'ink', trips: this.#recording.delays }]
  }

  #drawAxis ({ left, width, x }: Axis, shown: number, seconds: number, isNarrow: boolean): void {
    const canvas = this.#canvas
    const step = seconds / (isNarrow ? 3 : 5)
    for (let age = 0; age <= seconds; age += step) {
      const at = age === 0 ? left + width : x(shown - 1000 * age)
      canvas.text(age === 0 ? 'now' : `−${age} s`, at, canvas.height - 12, { size: 12, colour: 'muted', align: age === 0 ? 'right' : age === seconds ? 'left' : 'center' })
    }
  }

  /** The newest lesson is named first; a name that would cover another is left out. */
  #drawBands ({ left, width, x }: Axis, shown: number, isNarrow: boolean): void {
    const canvas = this.#canvas
    const right = left + width
    let free = right
    for (const { kind, ms, from, to } of [...this.#recording.bands].sort((a, b) => b.from - a.from)) {
      const start = Math.max(left, x(from))
      const end = Math.min(right, x(Math.min(to ?? shown, shown)))
      if (end <= left || start >= right) continue
      canvas.g.fillStyle = canvas.colour('band')
      canvas.g.fillRect(start, 4, Math.max(2, end - start), canvas.height - AXIS_PX - 4)
      const name = isNarrow ? LESSONS[kind] : `${LESSONS[kind]} ${ms} ms`
      const style = { size: 12, weight: 650 }
      const nameWidth = canvas.textWidth(name, style)
      const edge = start - 5
      if (edge <= free && edge - nameWidth >= left) {
        canvas.text(name, edge, HEAD_PX / 2 + 2, { ...style, align: 'right' })
        free = edge - nameWidth - 8
      } else {
        // At the window's beginning there is room only behind it.
        if (end + 5 + nameWidth <= free) canvas.text(name, end + 5, HEAD_PX / 2 + 2, style)
        free = Math.min(free, edge)
      }
    }
  }

  #drawRow ({ trips, colour }: Row, axis: Axis, shown: number, base: number, height: number, isNarrow: boolean): void {
    const canvas = this.#canvas
    const { left, width, x } = axis
    const right = left + width
    const scale = this.#length ? Number(this.#length.value) * HEADROOM : SCALE_WITHOUT_LESSONS_MS
    const floor = new Path2D()
    floor.moveTo(left, base + 0.5)
    floor.lineTo(right, base + 0.5)
    canvas.line(floor, 'line', 1)
    const bar = Math.max(1.5, x(PING_MS) - x(0) - 2)
    const bars = new Path2D()
    const peaks: { readonly at: number, readonly ms: number }[] = []
    let isOnPeak = false
    for (const { at, ms } of trips) {
      const start = x(at)
      // Answered by now, as the stage shows it: a bar comes with its dot.
      if (start < left || ms === null || at + ms > shown) continue
      const part = ms / scale
      const tall = Math.max(1.5, Math.min(1, part) * height)
      bars.rect(start, base - tall, Math.min(bar, right - start), tall)
      const last = peaks.at(-1)
      if (part < PEAK) isOnPeak = false
      else if (!isOnPeak || (last && ms > last.ms)) {
        if (isOnPeak) peaks.pop()
        peaks.push({ at, ms })
        isOnPeak = true
      }
    }
    canvas.g.fillStyle = canvas.colour(colour)
    canvas.g.fill(bars)
    this.#namePeaks(peaks, axis, colour, base - height * 0.62, isNarrow)
  }

  /** The newest first; a value that would cover another is left out. */
  #namePeaks (peaks: readonly { readonly at: number, readonly ms: number }[], { left, width, x }: Axis, colour: string, y: number, isNarrow: boolean): void {
    const canvas = this.#canvas
    const style = { size: isNarrow ? 11.5 : 13, weight: 700, colour }
    let free = left + width
    for (const { at, ms } of [...peaks].reverse()) {
      const text = `${Math.round(ms)} ms`
      const textWidth = canvas.textWidth(text, style)
      const start = x(at) - 5
      if (start > free || start - textWidth < left) continue
      canvas.text(text, start, y, { ...style, align: 'right' })
      free = start - textWidth - 8
    }
  }
}
