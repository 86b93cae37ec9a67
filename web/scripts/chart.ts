/** The strip chart: one lane a protocol, and the loop's delay and utilisation under them, on one time axis. */
import Plot, { type Options } from 'uplot'
import type { LessonStarted, LoopSample, Ping } from '../../src/messages.ts'
import type { Transport } from '../../src/transport.ts'
import { append, dataOf, emptyData, forget, type Curve } from './curve.ts'
import { find, make, setText } from './dom.ts'
import { milliseconds, PROTOCOLS } from './format.ts'

const WINDOW_S = 60
const AXIS_PX = 26
/** Added with each message, so that a clock that drifts is followed. */
const CLOCK_DRIFT_S = 0.002
/** More than any stall delays a message: a clock was set. */
const CLOCK_JUMP_S = 10
const REDRAW_MS = 100
const CALM_REDRAW_MS = 1000
/** What a lane's axis may end at, in milliseconds: few values, so that the scale rests. */
const SCALES = [10, 20, 50, 100, 200, 600, 1200, 2500, 6000]
const AGES = [-60, -50, -40, -30, -20, -10, 0]

type LaneName = Transport | 'delay' | 'utilisation'

interface Lane {
  readonly name: LaneName
  readonly curves: readonly Curve[]
  readonly value: HTMLElement
  readonly box: HTMLElement
  readonly plot: Plot
}

interface Band { readonly id: number, readonly label: string, readonly from: number, to: number | undefined }

const LESSONS = { block: 'Block', wait: 'Wait', worker: 'Worker' }

export class Chart {
  readonly #root = find('#chart')
  readonly #lanes: Lane[] = []
  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)')
  #bands: Band[] = []
  #scale = SCALES[0] as number
  #palette = new Map<string, string>()
  /** How far this browser's clock is ahead of the server's, in seconds; undefined until the server has spoken. */
  #ahead: number | undefined
  #isLive = false
  #drawnAt = 0

  constructor (transports: readonly Transport[]) {
    this.#root.dataset.lab = transports.length > 0 ? 'on' : 'off'
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
    const now = this.#now * 1000
    for (const { curves } of this.#lanes) for (const curve of curves) append(curve, now, null)
    this.idle()
  }

  /** No lesson runs. */
  idle (): void {
    for (const band of this.#bands) band.to ??= this.#now
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
    this.#bands.push({ id, label: LESSONS[kind], from: at / 1000, to: undefined })
  }

  lessonEnded (id: number, endedAt: number): void {
    for (const band of this.#bands) if (band.id === id) band.to ??= endedAt / 1000
  }

  #lane (name: LaneName): Lane | undefined {
    return this.#lanes.find((lane) => lane.name === name)
  }

  get #now (): number {
    return Date.now() / 1000 - (this.#ahead ?? 0)
  }

  #addLane (name: LaneName, title: string, colour: string, curveCount: number): void {
    const value = make('span', 'value', '–')
    const box = make('div', 'lane', make('div', 'name', make('span', `protocol ${colour}`, title), value))
    this.#root.append(box)
    const curves = Array.from({ length: curveCount }, (): Curve => ({ xs: [], ys: [] }))
    const plot = new Plot(this.#options(name, colour, curveCount, box.clientHeight), emptyData(curveCount), box)
    plot.root.setAttribute('role', 'img')
    plot.root.setAttribute('aria-label', `${title}, the last ${WINDOW_S} seconds`)
    this.#lanes.push({ name, curves, value, box, plot })
  }

  #options (name: LaneName, colour: string, curveCount: number, height: number): Options {
    const isLast = name === 'utilisation'
    const stroke = () => this.#palette.get(colour) ?? 'gray'
    const axis = { stroke: () => this.#palette.get('muted') ?? 'gray', font: '11px ui-sans-serif, system-ui, sans-serif', ticks: { show: false } }
    const grid = { stroke: () => this.#palette.get('line') ?? 'gray', width: 1 }
    // A round trip lasts from when it was sent; a sample is of the time before it.
    const paths = Plot.paths.stepped?.({ align: name === 'delay' || isLast ? -1 : 1 })
    const area = { stroke, width: 1.5, fill: () => `${stroke()}38`, points: { show: false }, paths }
    const line = { stroke, width: 1.5, dash: [2, 2], points: { show: false }, paths }
    return {
      width: this.#width,
      height,
      padding: [8, 14, isLast ? 0 : 6, 0],
      legend: { show: false },
      cursor: { sync: { key: 'oneloop' }, y: false, drag: { setScale: false, x: false, y: false } },
      scales: {
        x: { time: false, range: () => [this.#now - WINDOW_S, this.#now] },
        y: { range: () => [0, isLast ? 100 : this.#scale] }
      },
      axes: [
        {
          ...axis,
          grid,
          size: isLast ? AXIS_PX : 0,
          splits: () => AGES.map((age) => this.#now + age),
          values: () => isLast ? AGES.map((age) => age === 0 ? 'now' : `${age} s`) : []
        },
        {
          ...axis,
          grid,
          size: 52,
          splits: () => isLast ? [0, 50, 100] : [0, this.#scale / 2, this.#scale],
          values: (_plot, splits) => splits.map((split) => isLast ? `${split} %` : split === 0 ? '0' : `${split} ms`)
        }
      ],
      series: [{}, ...Array.from({ length: curveCount }, (_curve, index) => index === 0 ? area : line)],
      hooks: { drawClear: [(plot) => this.#drawBands(plot, name)] }
    }
  }

  /** The lessons, as bands behind the curves; the topmost lane names them. */
  #drawBands (plot: Plot, name: LaneName): void {
    const { ctx, bbox: { left, top, width, height } } = plot
    ctx.save()
    ctx.beginPath()
    ctx.rect(left, top, width, height)
    ctx.clip()
    let labelled = 0
    for (const { from, to = this.#now, label } of this.#bands) {
      const x = plot.valToPos(from, 'x', true)
      ctx.fillStyle = this.#palette.get('band') ?? 'transparent'
      ctx.fillRect(x, top, plot.valToPos(to, 'x', true) - x, height)
      if (name !== this.#lanes[0]?.name) continue
      ctx.fillStyle = this.#palette.get('ink') ?? 'gray'
      ctx.font = `600 ${11 * devicePixelRatio}px ui-sans-serif, system-ui, sans-serif`
      ctx.textAlign = 'right'
      const right = x - 4 * devicePixelRatio
      if (right - ctx.measureText(label).width < labelled) continue
      ctx.fillText(label, right, top + height - 9 * devicePixelRatio)
      labelled = right
    }
    ctx.restore()
  }

  #draw (): void {
    const oldest = this.#now - WINDOW_S
    for (const { curves } of this.#lanes) for (const curve of curves) forget(curve, oldest)
    if (document.hidden || (this.#calm.matches && Date.now() - this.#drawnAt < CALM_REDRAW_MS)) return
    this.#drawnAt = Date.now()
    this.#bands = this.#bands.filter(({ to }) => to === undefined || to > oldest)
    let slowest = 0
    for (const { name, curves } of this.#lanes) {
      if (name === 'utilisation') continue
      for (const { ys } of curves) for (const y of ys) slowest = Math.max(slowest, y ?? 0)
    }
    this.#scale = SCALES.find((scale) => scale >= slowest) ?? SCALES.at(-1) as number
    for (const { curves, plot } of this.#lanes) plot.setData(dataOf(curves, this.#now))
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
