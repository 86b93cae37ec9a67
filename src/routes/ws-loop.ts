/** `/ws/loop`: live data of the event loop, the probe's round trips, the lessons and the services' counters. */
import { counts, facts, type Traffic } from '../lab/facts.ts'
import { inPieces } from '../shared/in-pieces.ts'
import type { LoopHello, LoopMessage, Ping } from '../shared/messages.ts'
import type { Loop } from '../plugins/loop.ts'
import { defineWebSocketService, type WebSocketClient, type WebSocketDescription, type WebSocketService } from '../service.ts'
import { VERSION } from '../shared/version.ts'
import { isTurnedAway } from './viewers.ts'

const COUNTS_EVERY = 5
/** Viewers told in one turn of the loop. */
const TOLD_AT_ONCE = 8

export const WS_LOOP: WebSocketDescription = {
  name: 'ws-loop',
  transport: 'websocket',
  path: '/ws/loop',
  isForOwnPage: true,
  summary: 'Sends the loop\'s delay, the round trips and the counters, ten times a second.',
  example: { answer: /^\{"type":"hello"/ }
}

export function wsLoop (loop: Loop, traffic: Traffic): WebSocketService {
  const viewers = new Set<WebSocketClient>()
  let pings: Ping[] = []
  let ticks = 0
  let unwatch = () => {}

  /** Sends the same text to all viewers. A viewer that is behind misses it. */
  function tell (message: LoopMessage): void {
    const text = JSON.stringify(message)
    inPieces(viewers, TOLD_AT_ONCE, (viewer) => { if (!viewer.isBehind) viewer.send(text) })
  }

  function watch (): () => void {
    return loop.watch({
      onPing: (ping) => { pings.push(ping) },
      onSample (sample) {
        // A new connection of the probe is recognised a moment late; until then it would count as a visitor's.
        const isCounted = ticks++ % COUNTS_EVERY === 0 && !loop.probePeers.isConnecting
        tell({ type: 'loop', at: Date.now(), sample, pings, ...(isCounted && { services: counts(traffic), process: facts(traffic), lesson: loop.lesson() }) })
        pings = []
      },
      onLessonStarted: (lesson) => tell({ type: 'lesson-started', lesson }),
      onLessonEnded: (lesson) => tell({ type: 'lesson-ended', lesson })
    })
  }

  return defineWebSocketService({
    ...WS_LOOP,
    onConnection (client) {
      if (isTurnedAway(client, viewers)) return
      client.send(JSON.stringify(hello(loop, traffic)))
      if (viewers.size === 0) unwatch = watch()
      viewers.add(client)
      return {
        close () {
          viewers.delete(client)
          if (viewers.size > 0) return
          unwatch()
          pings = []
        }
      }
    }
  })
}

function hello (loop: Loop, traffic: Traffic): LoopHello {
  return {
    type: 'hello',
    at: Date.now(),
    pid: process.pid,
    node: process.version,
    version: VERSION,
    lesson: loop.lesson(),
    lanes: loop.lanes().map(({ transport }) => transport),
    services: counts(traffic),
    process: facts(traffic)
  }
}
