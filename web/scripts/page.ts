/** The page: two links to the server, and what they feed. */
import type { FeedMessage, LoopMessage, ProcessFacts } from '../../src/messages.ts'
import { Chart } from './chart.ts'
import { find, make, setText } from './dom.ts'
import { bytes, duration, plural } from './format.ts'
import { Lessons } from './lessons.ts'
import { Link, type LinkState } from './link.ts'
import { Playground } from './playground.ts'
import { Services } from './services.ts'
import { Wire } from './wire.ts'

const services = new Services()
const lessons = new Lessons()
const wire = new Wire((request) => feedLink.send(request))
let chart: Chart | undefined

const states: Record<'loop' | 'feed', LinkState | undefined> = { loop: undefined, feed: undefined }

const loopLink: Link = new Link('/ws/loop', {
  isSteady: true,
  onMessage: (message) => heardLoop(message as LoopMessage),
  onState (state) {
    states.loop = state
    chart?.reset()
    lessons.reset()
    showState()
  }
})

const feedLink: Link = new Link('/ws/feed', {
  onOpen: () => wire.opened(),
  onMessage: (message) => wire.heard(message as FeedMessage),
  onState (state) {
    states.feed = state
    showState()
  }
})

// eslint-disable-next-line no-new -- it lives on its elements
new Playground()
setInterval(showState, 500)

function heardLoop (message: LoopMessage): void {
  switch (message.type) {
    case 'hello':
      // Another server than the one that made this page: its lines would be wrong.
      if (!services.isSame(message.services)) return location.reload()
      chart ??= new Chart(message.lanes)
      chart.heard(message.at)
      setText(find('#fact-pid'), String(message.pid))
      setText(find('#fact-node'), message.node)
      services.update(message.services)
      return showFacts(message.process)
    case 'loop':
      chart?.heard(message.at)
      chart?.addSample(message.sample)
      for (const ping of message.pings) chart?.addPing(ping)
      if (message.services) services.update(message.services)
      if (message.process) showFacts(message.process)
      return
    case 'lesson-started':
      chart?.lessonStarted(message.lesson)
      return lessons.started(message.lesson)
    case 'lesson-ended':
      chart?.lessonEnded(message.lesson.id, message.lesson.endedAt)
      return lessons.ended(message.lesson)
  }
}

function showFacts ({ uptimeS, rss, heapUsed, listening, connected }: ProcessFacts): void {
  setText(find('#fact-uptime'), duration(uptimeS))
  setText(find('#fact-memory'), `${bytes(rss)} (JavaScript objects ${bytes(heapUsed)})`)
  setText(find('#fact-sockets'), `${listening + connected} (${listening} bound, ${plural(connected, 'connection')})`)
}

function showState (): void {
  const element = find('#link')
  const all = Object.values(states)
  const lost = all.filter((state) => state?.is === 'lost')
  element.classList.toggle('live-now', all.every((state) => state?.is === 'open'))
  element.classList.toggle('lost', lost.length > 0)
  if (lost.length === 0) {
    setText(element, all.every((state) => state?.is === 'open') ? 'Live' : 'Connecting …')
    return
  }
  const seconds = Math.max(0, Math.ceil((Math.min(...lost.map(({ retryAt }) => retryAt)) - Date.now()) / 1000))
  const text = `The connection to the server is lost. ${seconds > 0 ? `Trying again in ${seconds} s.` : 'Trying again now.'}`
  if (element.firstChild?.textContent === text) return
  const retry = make('button', '', 'Try now')
  retry.type = 'button'
  retry.addEventListener('click', () => {
    if (states.loop?.is === 'lost') loopLink.connect()
    if (states.feed?.is === 'lost') feedLink.connect()
  })
  element.replaceChildren(text, retry)
}
