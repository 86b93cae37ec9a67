/** The page: two links to the server, and what they feed. */
import type { FeedMessage, LessonStarted, LoopHello, LoopMessage, LoopSample, ProcessFacts } from '../../src/shared/messages.ts'
import { find, setText } from './dom.ts'
import { bytes, duration, milliseconds, plural } from './format.ts'
import { Lab } from './lab.ts'
import { Lessons } from './lessons.ts'
import { Link, type LinkState } from './link.ts'
import { Playground } from './playground.ts'
import { Services } from './services.ts'
import { Status } from './status.ts'
import { Wire } from './wire.ts'

const RELOADS = 'reloads'
const MAX_RELOAD_MS = 60_000

const { hasProbe, isUnknownHost, version } = document.body.dataset
const services = new Services()
const playground = new Playground()

// Under a name that may be a stranger's, the server answers only the playground. The page says so.
if (isUnknownHost === undefined) watch()

function watch (): void {
  const lab = new Lab(hasProbe !== undefined)
  playground.onSent = () => lab.sent()
  playground.onEcho = () => lab.echoed()
  const lessons = new Lessons()
  const wire = new Wire((request) => feedLink.send(request), (event) => lab.yours(event))
  /** This page is about to be loaded again. */
  let isStale = false
  const states: Record<'loop' | 'feed', LinkState> = { loop: { is: 'connecting' }, feed: { is: 'connecting' } }

  const loopLink = new Link('ws/loop', {
    isSteady: true,
    onMessage: (message) => heardLoop(message as LoopMessage),
    onState (state) {
      states.loop = state
      if (state.is === 'lost') {
        lab.lost()
        lessons.idle()
        // They share their way to the server, and the feed may be silent for long.
        feedLink.drop()
      }
      status.show(Object.values(states))
    }
  })

  const feedLink = new Link('ws/feed', {
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

  function runs (lesson: LessonStarted): void {
    lab.lessonStarted(lesson)
    lessons.started(lesson)
  }

  function heardLoop (message: LoopMessage): void {
    if (isStale) return
    switch (message.type) {
      case 'hello':
        if (!isOfThisPage(message)) {
          isStale = true
          return reload()
        }
        sessionStorage.removeItem(RELOADS)
        lab.greeted(message.at)
        if (message.lesson) runs(message.lesson)
        setText(find('#fact-pid'), String(message.pid))
        setText(find('#fact-node'), message.node)
        services.update(message.services)
        return showFacts(message.process)
      case 'loop':
        lab.tick(message)
        if (message.services) services.update(message.services)
        if (message.process) showFacts(message.process, message.sample)
        // A viewer who missed the start or the end of a lesson learns of it here.
        if (message.lesson === null) lessons.idle()
        else if (message.lesson) lessons.started(message.lesson)
        return
      case 'lesson-started': return runs(message.lesson)
      case 'lesson-ended':
        lab.lessonEnded(message.lesson)
        return lessons.ended(message.lesson)
    }
  }
}

function showFacts ({ uptimeS, rss, heapUsed, listening, connected }: ProcessFacts, sample?: LoopSample): void {
  setText(find('#fact-uptime'), duration(uptimeS))
  setText(find('#fact-memory'), `${bytes(rss)} (JavaScript objects ${bytes(heapUsed)})`)
  setText(find('#fact-sockets'), `${listening + connected} (${listening} bound, ${plural(connected, 'connection')})`)
  if (sample) setText(find('#fact-loop'), `${milliseconds(sample.max)} late at most, busy ${Math.round(100 * sample.utilisation)} % of the time`)
}

/** Whether the server has the version, services and lab that this page was rendered for: otherwise its lines and buttons would be wrong. */
function isOfThisPage ({ services: told, lanes, version: server }: LoopHello): boolean {
  return services.isSame(told) && server === version && (lanes.length > 0 || hasProbe === undefined)
}

/** At growing intervals: behind a balancer the page and its WebSocket may come from different servers for long. */
function reload (): void {
  const reloads = Number(sessionStorage.getItem(RELOADS) ?? 0)
  sessionStorage.setItem(RELOADS, String(reloads + 1))
  setTimeout(() => location.reload(), reloads === 0 ? 0 : Math.min(1000 * 2 ** reloads, MAX_RELOAD_MS))
}
