/** What the page's script keeps and draws, without a browser. */
import t from 'tap'
import type { LessonStarted, Ping } from '../src/shared/messages.ts'
import { Recording } from '../web/scripts/recording.ts'

const T0 = 1_000_000
const sample = (at: number) => ({ at, p50: 0, max: 1, utilisation: 0 })
const ping = (at: number, ms = 1): Ping => ({ transport: 'tcp', at, ms })
const lesson = (at: number, ms = 500): LessonStarted => ({ id: 1, kind: 'block', ms, at })

/** A recording whose lanes were pinged for so long before T0. */
function recorded (seconds = 1) {
  const recording = new Recording()
  for (let at = T0 - 1000 * seconds; at < T0; at += 100) recording.heard([ping(at)], sample(at + 50))
  const lane = recording.lane('tcp')
  if (!lane) throw new Error('no lane')
  const waiting = () => lane.dots.filter(({ ms, isYours }) => ms === undefined && !isYours).map(({ at }) => at)
  return { recording, lane, waiting }
}

t.test('while a lesson blocks the loop, pings are expected from its start on, and become what was measured', async (t) => {
  const { recording, lane, waiting } = recorded()
  recording.lessonStarted(lesson(T0 + 30))
  recording.expect(T0 + 530)
  t.same(waiting(), [30, 130, 230, 330, 430, 530].map((ms) => T0 + ms))
  // Answers to one turn of the loop come in two messages, the later pings first.
  recording.heard([ping(T0 + 331, 201), ping(T0 + 431, 101)], sample(T0 + 540))
  t.same(waiting(), [30, 130, 230, 530].map((ms) => T0 + ms), 'the earlier ones still wait')
  recording.heard([ping(T0 + 31, 501), ping(T0 + 131, 401), ping(T0 + 231, 301), ping(T0 + 531, 3)], sample(T0 + 640))
  t.same(waiting(), [])
  t.same(lane.dots.slice(-6).map(({ ms }) => ms), [501, 401, 301, 201, 101, 3])
})

t.test('what was expected and never sent goes, and a probe that has gone is not waited for', async (t) => {
  const { recording, waiting } = recorded()
  recording.expect(T0 + 250)
  t.equal(waiting().length, 3)
  recording.heard([ping(T0 + 260)], sample(T0 + 300))
  recording.heard([ping(T0 + 360)], sample(T0 + 400))
  t.same(waiting(), [])
  for (let i = 0; i < 10; i++) recording.heard([], sample(T0 + 500 + 100 * i))
  recording.expect(T0 + 2000)
  t.same(waiting(), [])
})

t.test('a hidden page keeps no more than the chart shows', async (t) => {
  const { recording, lane } = recorded(600)
  t.ok(lane.trips.length <= 602, `${lane.trips.length} round trips`)
  t.ok(lane.dots.length <= 82, `${lane.dots.length} dots`)
  t.ok(recording.delays.length <= 602, `${recording.delays.length} delays`)
  recording.expect(T0 + 3_600_000)
  t.ok(lane.dots.length <= 170, 'nor does it expect all the pings of an hour')
})

t.test('another server may have an earlier clock, and lessons of the same numbers', async (t) => {
  const { recording, lane, waiting } = recorded()
  recording.lessonStarted(lesson(T0))
  recording.lessonEnded({ ...lesson(T0), endedAt: T0 + 500, waited: {}, sentence: '' })
  recording.restart(T0 + 2000)
  recording.lessonStarted(lesson(T0 + 3000))
  t.match(recording.bands, [{ from: T0, to: T0 + 500 }, { from: T0 + 3000, to: undefined }])
  const before = T0 - 3_600_000
  recording.restart(before)
  t.same(recording.bands, [])
  t.same(lane.trips, [])
  recording.heard([ping(before + 100)], sample(before + 150))
  recording.expect(before + 420)
  t.same(waiting(), [before + 200, before + 300, before + 400])
})

t.test('the playground\'s message is one diamond, whether its echo or the feed comes first', async (t) => {
  for (const order of [['echo', 'feed'], ['feed', 'echo'], ['echo']]) {
    const { lane } = recorded()
    lane.sent(T0)
    for (const what of order) {
      if (what === 'echo') lane.echoed(T0 + 20)
      else lane.yours(T0 + 10)
    }
    const yours = lane.dots.filter(({ isYours }) => isYours)
    t.match(yours, [{ at: T0, ms: order[0] === 'feed' || order[1] === 'feed' ? 10 : 20 }], order.join(', '))
    t.equal(yours.length, 1)
  }
})
