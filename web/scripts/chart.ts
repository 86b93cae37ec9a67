/** The strip chart: one lane a protocol, and the loop's delay and utilisation under them, on one time axis. */
import Plot from 'uplot'
import { LESSONS, PROTOCOLS } from '../../src/shared/names.ts'
import type { LessonStarted, LoopSample, Ping } from '../../src/shared/messages.ts'
import type { Transport } from '../../src/shared/transport.ts'
import { append, dataOf, emptyData, forget, type Curve } from './curve.ts'
import { find, make, setText } from './dom.ts'
import { milliseconds } from './format.ts'
import { laneOptions, WINDOW_S, type Band, type LaneName, type View } from './lane-options.ts'

/** Added with each message, so that a clock that drifts is followed. */
const CLOCK_DRIFT_S = 0.002
/** More than any stall delays a message: a clock was set. */
const CLOCK_JUMP_S = 10
const REDRAW_MS = 100
const CALM_REDRAW_MS = 1000
/** What a lane's axis may end at, in milliseconds: few values, so that the scale rests. */
const SCALES = [10, 20, 50, 100, 200, 600, 1200, 2500, 6000]

interface Lane {
  readonly name: LaneName
  readonly curves: readonly Curve[]
  readonly value: HTMLElement
  readonly box: HTMLElement
  readonly plot: Plot
}

export class Chart implements View {
  readonly #root = find('#chart')
  readonly #lanes: Lane[] = []
  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)')
  bands: Band[] = []
  scale = SCALES[0] as number
  #palette = new Map<string, string>()
  /** How far this browser's clock is ahead of the server's, in seconds; undefined until the server has spoken. */
  #ahead: number | undefined
  #isLive = false
  #drawnAt = 0

  constructor (transports: readonly Transport[]) {
    this.#readPalette()
    for (const transport of transports) this.#addLane(transport, PROTOCOLS[transport], transport, 1)
    this.#addLane('delay', 'Delay', 'loop', 2)
    this.#addLane('utilisation', 'Utilisation', 'loop', 1)
    new ResizeObserver(() => this.#resize()).observe(this.#root)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#readPalette()
      for (const { plot } of this.#lanes) plot.redraw(false)
    })
    setInterval(() => this.#draw(), REDRAW_MS)
  }

  /** The server is gone: what it would have said nobody knows. */
  lost (): void {
    this.#isLive = false
    const now = this.now * 1000
    for (const { curves } of this.#lanes) for (const curve of curves) append(curve, now, null)
    this.idle()
  }

  /** No lesson runs. */
  idle (): void {
    for (const band of this.bands) band.to ??= this.now
  }

  /** @param at the server's clock, when it spoke. */
  heard (at: number): void {
    const ahead = (Date.now() - at) / 1000
    // The least that was heard has waited least. After a break the server may be another, with another clock.
    const isKnown = this.#isLive && this.#ahead !== undefined && Math.abs(ahead - this.#ahead) < CLOCK_JUMP_S
    this.#ahead = isKnown ? Math.min(ahead, (this.#ahead ?? ahead) + CLOCK_DRIFT_S) : ahead
    this.#isLive = true
  }

  addPing ({ transport, at, ms }: Ping): void {
    const lane = this.#lane(transport)
    if (!lane) return
    append(lane.curves[0], at, ms)
    setText(lane.value, ms === null ? 'no answer' : milliseconds(ms))
  }

  addSample ({ at, p50, max, utilisation }: LoopSample): void {
    const delay = this.#lane('delay')
    const used = this.#lane('utilisation')
    append(delay?.curves[0], at, max)
    append(delay?.curves[1], at, p50)
    append(used?.curves[0], at, utilisation * 100)
    if (delay) setText(delay.value, `p50 ${milliseconds(p50).replace(' ms', '')}, max ${milliseconds(max)}`)
    if (used) setText(used.value, `${(utilisation * 100).toFixed(1)} %`)
  }

  lessonStarted ({ id, kind, at }: LessonStarted): void {
    this.bands.push({ id, label: LESSONS[kind], from: at / 1000, to: undefined })
  }

  lessonEnded (id: number, endedAt: number): void {
    for (const band of this.bands) if (band.id === id) band.to ??= endedAt / 1000
  }

  colour (name: string): string {
    return this.#palette.get(name) ?? 'gray'
  }

  #lane (name: LaneName): Lane | undefined {
    return this.#lanes.find((lane) => lane.name === name)
  }

  /** The server's clock, in seconds, as far as this browser knows it. */
  get now (): number {
    return Date.now() / 1000 - (this.#ahead ?? 0)
  }

  #addLane (name: LaneName, title: string, colour: string, curveCount: number): void {
    const value = make('span', 'value', '–')
    const box = make('div', 'lane', make('div', 'name', make('span', `protocol ${colour}`, title), value))
    this.#root.append(box)
    const curves = Array.from({ length: curveCount }, (): Curve => ({ xs: [], ys: [] }))
    const look = { name, colour, curves: curveCount, isFirst: this.#lanes.length === 0, width: this.#width, height: box.clientHeight }
    const plot = new Plot(laneOptions(look, this), emptyData(curveCount), box)
    plot.root.setAttribute('role', 'img')
    plot.root.setAttribute('aria-label', `${title}, the last ${WINDOW_S} seconds`)
    this.#lanes.push({ name, curves, value, box, plot })
  }

  #draw (): void {
    const oldest = this.now - WINDOW_S
    for (const { curves } of this.#lanes) for (const curve of curves) forget(curve, oldest)
    if (document.hidden || (this.#calm.matches && Date.now() - this.#drawnAt < CALM_REDRAW_MS)) return
    this.#drawnAt = Date.now()
    this.bands = this.bands.filter(({ to }) => to === undefined || to > oldest)
    let slowest = 0
    for (const { name, curves } of this.#lanes) {
      if (name === 'utilisation') continue
      for (const { ys } of curves) for (const y of ys) slowest = Math.max(slowest, y ?? 0)
    }
    this.scale = SCALES.find((scale) => scale >= slowest) ?? SCALES.at(-1) as number
    for (const { curves, plot } of this.#lanes) plot.setData(dataOf(curves, this.now))
  }

  get #width (): number {
    const { paddingLeft, paddingRight } = getComputedStyle(this.#root)
    return Math.max(200, this.#root.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight))
  }

  #resize (): void {
    const width = this.#width
    for (const { plot, box } of this.#lanes) {
      const height = box.clientHeight
      if (plot.width !== width || plot.height !== height) plot.setSize({ width, height })
    }
  }

  #readPalette (): void {
    const style = getComputedStyle(document.documentElement)
    for (const name of ['http', 'websocket', 'tcp', 'udp', 'loop', 'muted', 'line', 'ink', 'band']) {
      this.#palette.set(name, style.getPropertyValue(`--${name}`).trim())
    }
  }
}
