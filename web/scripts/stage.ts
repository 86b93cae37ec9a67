/** The stage: four lanes of messages run into one loop. Each leaves when it was sent, and passes the loop when it was answered, a fixed moment later. */
import { Canvas, DOT_PX } from './canvas.ts'
import { find, findAll, setText } from './dom.ts'
import { milliseconds } from './format.ts'
import type { Band, Dot, Lane, Recording } from './recording.ts'

/** How long a message travels to the loop. Everything is drawn this much late, when most measurements have arrived. */
export const DELAY_MS = 450
/** How much faster messages go that have to catch up. */
const CATCH_UP = 2.5
/** Shorter waits are not counted. */
const WAIT_MS = 30
/** Between two messages that wait, in pixels; the more there are, the closer they stand. They leave one behind the other, too. */
const GAP_PX = 13
const TRAIN_PX = 10
const VALUE_MS = 500

interface Way {
  readonly lane: Lane
  readonly line: Path2D
  readonly length: number
  readonly state: HTMLElement
  at (place: number): { readonly x: number, readonly y: number }
  /** Where its answers leave. */
  readonly exitY: number
}

export class Stage {
  readonly #recording: Recording
  readonly #canvas: Canvas
  #ways: Way[] = []
  /** The ring's centre and radius. */
  #ring = { x: 0, y: 0, r: 0 }
  #drawnAt = 0
  #valuesAt = 0

  constructor (recording: Recording, onResize: () => void) {
    this.#recording = recording
    this.#canvas = new Canvas(find<HTMLCanvasElement>('#stage'), () => {
      this.#layOut()
      onResize()
    })
  }

  /** Lanes stand where their names stand. */
  #layOut (): void {
    const { width, height } = this.#canvas
    const { isNarrow } = this.#canvas
    const labels = findAll('.lane-name')
    const r = isNarrow ? 34 : 46
    const first = middleOf(labels[0])
    const last = middleOf(labels.at(-1))
    const below = isNarrow ? 14 : 0
    const x = Math.round(width * (isNarrow ? 0.6 : 0.62)) + r
    const y = labels.length > 0 ? (first + last) / 2 + below / 2 : height / 2
    this.#ring = { x, y, r }
    const from = isNarrow ? 12 : (labels[0]?.offsetLeft ?? 0) + (labels[0]?.offsetWidth ?? 0) + 8
    this.#ways = this.#recording.lanes.flatMap((lane, index) => {
      const label = labels[index]
      if (!label) return []
      const rank = index - (labels.length - 1) / 2
      const laneY = middleOf(label) + below
      const angle = rank * 0.42
      const end = { x: x - Math.cos(angle) * (r + 8), y: y + Math.sin(angle) * (r + 8) }
      const bend = Math.min(110, (end.x - from) * 0.35)
      const d = `M ${from} ${laneY} H ${end.x - bend} C ${end.x - bend * 0.45} ${laneY} ${end.x - bend * 0.4} ${end.y} ${end.x} ${end.y}`
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path')
      path.setAttribute('d', d)
      const length = path.getTotalLength()
      return [{ lane, line: new Path2D(d), length, state: find('.lane-state', label), at: (place: number) => path.getPointAtLength(place), exitY: y + rank * 12 }]
    })
  }

  /** @param now the server's time; undefined while nobody knows it. @param isCalm whether nothing may move. */
  draw (now: number | undefined, isCalm: boolean): void {
    const canvas = this.#canvas
    const time = performance.now()
    const elapsed = time - this.#drawnAt
    this.#drawnAt = time
    const showsValues = time - this.#valuesAt >= VALUE_MS
    if (showsValues) this.#valuesAt = time
    canvas.clear()
    const { x, y, r } = this.#ring
    for (const { line } of this.#ways) canvas.line(line, 'line', 2)
    const exit = new Path2D()
    exit.moveTo(x + r + 6, y)
    exit.lineTo(canvas.width, y)
    canvas.line(exit, 'line', 2)
    const shown = now === undefined ? undefined : now - DELAY_MS
    for (const way of this.#ways) {
      const waiting = now === undefined ? 0 : this.#drawLane(way, now, isCalm ? undefined : elapsed)
      this.#tell(way, waiting, now !== undefined && showsValues)
    }
    this.#drawLoop(shown, this.#lessonAt(shown), isCalm)
  }

  /** How many wait at the loop. @param elapsed since the last picture; undefined where dots stand as a count. */
  #drawLane ({ lane, length, at, exitY }: Way, now: number, elapsed: number | undefined): number {
    const canvas = this.#canvas
    const shown = now - DELAY_MS
    const speed = length / DELAY_MS
    const exitX = this.#ring.x + this.#ring.r + 8
    let waiting = 0
    let limit = length - DOT_PX
    let train = Infinity
    for (const dot of lane.dots) {
      const isAnswered = typeof dot.ms === 'number' && shown >= dot.at + dot.ms
      if (dot.ms === null || (elapsed === undefined && !waits(dot, shown))) continue
      const free = isAnswered ? length + (shown - dot.at - (dot.ms ?? 0)) * speed : Math.min((now - dot.at) * speed, length)
      const place = this.#move(dot, free, isAnswered ? train : limit, elapsed, speed)
      if (waits(dot, shown)) waiting++
      if (isAnswered) train = place - TRAIN_PX
      else limit = place - GAP_PX * Math.exp(-(length - limit) / (length * 0.45))
      const colour = dot.isYours ? 'ink' : lane.transport
      const isHollow = dot.ms === undefined
      if (place <= length) {
        const { x, y } = at(place)
        canvas.message(x, y, colour, dot.isYours, isHollow, Math.min(1, place / 24))
      } else {
        const left = (place - length) / (canvas.width - exitX)
        if (left < 1) canvas.message(exitX + place - length, exitY, colour, dot.isYours, isHollow, 1 - 0.75 * left)
      }
    }
    return waiting
  }

  /** Never backwards, never through another, and no faster than `CATCH_UP`. */
  #move (dot: Dot, free: number, limit: number, elapsed: number | undefined, speed: number): number {
    const wanted = Math.max(0, Math.min(free, limit))
    const { place = wanted } = dot
    dot.place = elapsed === undefined ? wanted : Math.max(place, Math.min(wanted, place + CATCH_UP * speed * elapsed))
    return dot.place
  }

  #tell ({ lane, state }: Way, waiting: number, showsValues: boolean): void {
    state.classList.toggle('waiting', waiting > 0)
    if (waiting > 0) return setText(state, `${waiting} waiting`)
    if (!showsValues && !state.textContent?.endsWith('waiting')) return
    const last = lane.trips.at(-1)
    setText(state, !last ? '–' : last.ms === null ? 'no answer' : milliseconds(last.ms))
  }

  #drawLoop (shown: number | undefined, band: Band | undefined, isCalm: boolean): void {
    const canvas = this.#canvas
    const { x, y, r } = this.#ring
    const isBusy = band?.kind === 'block'
    const gone = band && shown !== undefined ? shown - band.from : 0
    canvas.disc(x, y, r, isBusy ? 'busy' : 'panel', isBusy ? 'busy' : 'line', 5)
    if (band && isBusy) {
      canvas.text('busy', x, y - 9, { align: 'center', weight: 650, size: canvas.isNarrow ? 13 : 15, colour: 'panel' })
      canvas.text(isCalm ? `${band.ms} ms` : `${Math.round(gone)} ms`, x, y + 10, { align: 'center', size: 13, colour: 'panel' })
      canvas.arc(x, y, r + 7, 0, isCalm ? 2 * Math.PI : turns(gone / band.ms), 3)
      this.#caption('Your code holds the only thread', x)
      return
    }
    if (shown !== undefined) {
      const turn = isCalm ? 0 : performance.now() / 260
      canvas.arc(x, y, r, turn, turn + 1.1, 5)
    }
    canvas.text('the loop', x, y - 8, { align: 'center', weight: 650, size: canvas.isNarrow ? 12 : 14 })
    canvas.text(shown === undefined ? 'offline' : '1 thread', x, y + 9, { align: 'center', size: canvas.isNarrow ? 10 : 12, colour: 'muted' })
    if (band) this.#drawHelper(band, isCalm ? 1 : gone / band.ms)
  }

  /** What has the work, or the waiting, instead of the loop: another thread, or a timer. */
  #drawHelper ({ kind }: Band, part: number): void {
    const canvas = this.#canvas
    const ring = this.#ring
    const words = kind === 'wait' ? 'a timer waits, the loop does not' : 'another thread works'
    const radius = canvas.isNarrow ? 9 : 15
    const size = canvas.isNarrow ? 12 : 13
    const width = canvas.textWidth(words, { size, weight: 600 })
    const y = canvas.isNarrow ? canvas.height - 17 : ring.y + ring.r + 30
    const rightmost = canvas.width - 12 - width - radius - 12
    const left = canvas.isNarrow ? rightmost : Math.min(ring.x, rightmost)
    canvas.disc(left, y, radius, kind === 'worker' ? 'busy' : 'panel', 'ink', 2)
    canvas.arc(left, y, radius + 4, 0, turns(part), 2.5)
    if (kind === 'wait') {
      const hands = new Path2D()
      hands.moveTo(left, y - radius * 0.6)
      hands.lineTo(left, y)
      hands.lineTo(left + radius * 0.45, y)
      canvas.line(hands, 'ink', 2)
    }
    canvas.text(words, left + radius + 12, y, { weight: 600, size })
  }

  #caption (text: string, x: number): void {
    const canvas = this.#canvas
    if (canvas.isNarrow) canvas.text(text, canvas.width - 12, canvas.height - 15, { align: 'right', weight: 600, size: 12 })
    else canvas.text(text, x, this.#ring.y + this.#ring.r + 28, { align: 'center', weight: 600 })
  }

  /** What a still picture of this moment shows: pictures that would say the same need not be drawn. */
  still (now: number | undefined): string {
    if (now === undefined) return ''
    const shown = now - DELAY_MS
    const waiting = this.#recording.lanes.map(({ dots }) => dots.filter((dot) => waits(dot, shown)).length)
    return `${this.#lessonAt(shown)?.kind} ${waiting.join()}`
  }

  #lessonAt (shown: number | undefined): Band | undefined {
    return shown === undefined ? undefined : this.#recording.bands.find(({ from, to, ms }) => shown >= from && shown < (to ?? from + ms))
  }
}

/** Whether a message waits at the loop, at the moment that is shown. */
function waits ({ at, ms }: Dot, shown: number): boolean {
  return shown - at >= WAIT_MS && (ms === undefined || (ms !== null && shown < at + ms))
}

const turns = (part: number): number => Math.min(1, Math.max(0, part)) * 2 * Math.PI

function middleOf (element: HTMLElement | undefined): number {
  return element ? element.offsetTop + element.offsetHeight / 2 : 0
}
