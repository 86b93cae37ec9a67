/** The loop at work: the stage and the chart on one clock, drawn as often as the screen asks, or once a second for those who want no motion. */
import type { FeedEvent, LessonResult, LessonStarted, LoopTick } from '../../src/shared/messages.ts'
import { Recording } from './recording.ts'
import { RoundTrips } from './round-trips.ts'
import { ServerClock } from './server-clock.ts'
import { Stage } from './stage.ts'

const CALM_MS = 1000

export class Lab {
  readonly #recording = new Recording()
  readonly #clock = new ServerClock()
  readonly #calm = matchMedia('(prefers-reduced-motion: reduce)')
  readonly #stage: Stage
  readonly #chart: RoundTrips
  #isLive = false
  /** What the last still picture showed, and when it was drawn. */
  #still = ''
  #stillAt = -Infinity

  constructor (hasProbe: boolean) {
    const onChange = () => { this.#stillAt = -Infinity }
    this.#stage = new Stage(this.#recording, onChange)
    this.#chart = new RoundTrips(this.#recording, hasProbe, onChange)
    const frame = () => {
      this.#draw()
      requestAnimationFrame(frame)
    }
    requestAnimationFrame(frame)
  }

  /** The server greets. @param at its clock. */
  greeted (at: number): void {
    this.#clock.restart()
    this.#clock.heard(at)
    this.#recording.restart(at)
    this.#isLive = true
  }

  tick ({ at, pings, sample, lesson }: LoopTick): void {
    this.#clock.heard(at)
    this.#recording.heard(pings, sample)
    if (lesson === null) this.#recording.idle(at)
    else if (lesson) this.lessonStarted(lesson)
  }

  lessonStarted (lesson: LessonStarted): void {
    this.#recording.lessonStarted(lesson)
  }

  lessonEnded (result: LessonResult): void {
    this.#recording.lessonEnded(result)
  }

  /** The loop has something of the visitor's own. */
  yours ({ transport, at }: FeedEvent): void {
    this.#recording.lane(transport)?.yours(at)
  }

  /** The playground has sent a message. */
  sent (): void {
    const { now } = this.#clock
    if (this.#isLive && now !== undefined) this.#recording.lane('websocket')?.sent(now)
  }

  /** The playground has an answer. */
  echoed (): void {
    this.#recording.lane('websocket')?.echoed(this.#clock.now ?? 0)
  }

  /** The server is gone: what it does now nobody knows. */
  lost (): void {
    this.#recording.lost(this.#clock.now ?? 0)
    this.#isLive = false
  }

  #draw (): void {
    const now = this.#isLive ? this.#clock.now : undefined
    if (now !== undefined) this.#recording.expect(now)
    const isCalm = this.#calm.matches
    const time = performance.now()
    const isDue = !isCalm || time - this.#stillAt >= CALM_MS
    const still = isCalm ? this.#stage.still(now) : ''
    if (isDue || still !== this.#still) this.#stage.draw(now, isCalm)
    this.#still = still
    if (!isDue) return
    this.#stillAt = time
    this.#chart.draw(now ?? this.#clock.now)
  }
}
