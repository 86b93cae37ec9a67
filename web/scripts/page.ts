/** The page: two links to the server, and what they feed. */
import type { FeedMessage, LoopHello, LoopMessage, ProcessFacts } from '../../src/shared/messages.ts'
import { Chart } from './chart.ts'
import { find, setText } from './dom.ts'
import { bytes, duration, plural } from './format.ts'
import { Lessons } from './lessons.ts'
import { Link, type LinkState } from './link.ts'
import { Playground } from './playground.ts'
import { Services } from './services.ts'
import { Status } from './status.ts'
import { Wire } from './wire.ts'

const RELOADS = 'reloads'
const MAX_RELOAD_MS = 60_000

const services = new Services()
const lessons = new Lessons()
const wire = new Wire((request) => feedLink.send(request))
let chart: Chart | undefined
/** This page is about to be loaded again. */
let isStale = false

const states: Record<'loop' | 'feed', LinkState> = { loop: { is: 'connecting' }, feed: { is: 'connecting' } }

const loopLink = new Link('/ws/loop', {
  isSteady: true,
  onMessage: (message) => heardLoop(message as LoopMessage),
  onState (state) {
    states.loop = state
    if (state.is === 'lost') {
      chart?.lost()
      lessons.idle()
      // They share their way to the server, and the feed may be silent for long.
      feedLink.drop()
    }
    status.show(Object.values(states))
  }
})

const feedLink = new Link('/ws/feed', {
  onOpen: () => wire.opened(),
  onMessage: (message) => wire.heard(message as FeedMessage),
  onState (state) {
    states.feed = state
    status.show(Object.values(states))
  }
})

const status = new Status(() => {
  loopLink.connect()
  feedLink.connect()
})

// eslint-disable-next-line no-new -- it lives on its elements
new Playground()

function heardLoop (message: LoopMessage): void {
  if (isStale) return
  switch (message.type) {
    case 'hello':
      if (!isOfThisPage(message)) return reload()
      sessionStorage.removeItem(RELOADS)
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
      // Whoever missed the end of a lesson learns of it here.
      if (message.lesson === null) {
        chart?.idle()
        lessons.idle()
      }
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

/** Whether the server that speaks is such a one as made this page: on another's, lines and buttons would be wrong. */
function isOfThisPage ({ services: told, lanes, version }: LoopHello): boolean {
  const { version: ofPage } = document.body.dataset
  return services.isSame(told) && version === ofPage && (lanes.length > 0 || find('#chart').dataset.lab === 'off')
}

/** At growing intervals: behind a balancer the page and its WebSocket may come from different servers for long. */
function reload (): void {
  isStale = true
  const reloads = Number(sessionStorage.getItem(RELOADS) ?? 0)
  sessionStorage.setItem(RELOADS, String(reloads + 1))
  setTimeout(() => location.reload(), reloads === 0 ? 0 : Math.min(1000 * 2 ** reloads, MAX_RELOAD_MS))
}
