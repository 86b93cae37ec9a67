/** `/ws/feed`: sends events of every protocol in batches, filtered for each viewer. */
import { randomUUID } from 'node:crypto'
import type { Feed } from '../traffic/feed.ts'
import { inPieces } from '../shared/in-pieces.ts'
import type { ProbePeers } from '../lab/probe-peers.ts'
import type { FeedEvent, FeedMessage, FeedRequest } from '../shared/messages.ts'
import { defineWebSocketService, type WebSocketClient, type WebSocketDescription, type WebSocketService } from '../service.ts'
import { isTurnedAway } from './viewers.ts'

const BATCH_MS = 100
/** Most events of a batch for one viewer; a followed connection may add as many again. */
const MAX_EVENTS = 250
/** Viewers told in one turn of the loop, so that a large batch does not hold it up. */
const TOLD_AT_ONCE = 2
/** Most events kept between two batches. */
const MAX_COLLECTED = 5000
/** Most batches in a row that wait for the address of a new connection of the probe. */
const MAX_LATE = 10
const MAX_REQUEST_BYTES = 1024

export const WS_FEED: WebSocketDescription = {
  name: 'ws-feed',
  transport: 'websocket',
  path: '/ws/feed',
  isForOwnPage: true,
  summary: 'Sends what happens on every protocol: sizes, never contents.',
  example: { answer: /^\{"type":"hello"/ }
}

const TRANSPORTS: readonly unknown[] = ['http', 'websocket', 'tcp', 'udp']
const MAX_NAME = 64

interface Viewer { readonly client: WebSocketClient, request: FeedRequest, dropped: number }

/** @param labPeers the probe's addresses: its pings would drown all other events, and so are left out. */
export function wsFeed (feed: Feed, labPeers: Pick<ProbePeers, 'has' | 'isConnecting'>): WebSocketService {
  const instance = randomUUID()
  const viewers = new Set<Viewer>()
  let events: FeedEvent[] = []
  let overflow = 0
  let late = 0
  /** Whether every viewer was told the last batch. */
  let areTold = () => true
  let stop = () => {}

  function collect (event: FeedEvent): void {
    if ((event.type === 'send' || event.type === 'receive') && (event.service === 'ws-feed' || event.service === 'ws-loop')) return
    if (events.length < MAX_COLLECTED) events.push(event)
    else overflow++
  }

  function flush (): void {
    if (!areTold()) return
    // A new connection of the probe is recognised a moment late.
    late = labPeers.isConnecting ? late + 1 : 0
    if (late > 0 && late <= MAX_LATE) return
    const all = events.filter(({ peer }) => !labPeers.has(peer))
    const missing = overflow
    areTold = inPieces(viewers, TOLD_AT_ONCE, (viewer) => { feed.dropped += tell(viewer, all, missing) })
    events = []
    overflow = 0
  }

  function watch (): () => void {
    const unsubscribe = feed.subscribe(collect)
    const timer = setInterval(flush, BATCH_MS)
    return () => {
      unsubscribe()
      clearInterval(timer)
      events = []
      overflow = 0
    }
  }

  return defineWebSocketService({
    ...WS_FEED,
    onConnection (client) {
      if (isTurnedAway(client, viewers)) return
      const viewer: Viewer = { client, request: {}, dropped: 0 }
      say(client, { type: 'hello', at: Date.now(), instance, you: client.remote.address, maxEvents: MAX_EVENTS })
      if (viewers.size === 0) stop = watch()
      viewers.add(viewer)
      return {
        message (message) {
          const request = readRequest(message)
          if (typeof request === 'string') say(client, { type: 'error', code: 'ERR_FEED_REQUEST', message: request })
          else viewer.request = request
        },
        close () {
          viewers.delete(viewer)
          if (viewers.size === 0) stop()
        }
      }
    }
  })
}

function say (client: WebSocketClient, message: FeedMessage): void {
  client.send(JSON.stringify(message))
}

/** Returns how many events were not sent to this viewer. */
function tell (viewer: Viewer, all: readonly FeedEvent[], overflow: number): number {
  const { client, request: { transports, service, follow } } = viewer
  const batch: FeedEvent[] = []
  let followed = 0
  let others = 0
  let dropped = overflow
  for (const event of all) {
    if (follow !== undefined && event.connection === follow) {
      if (followed++ < MAX_EVENTS) batch.push(event)
      else dropped++
    } else if ((!transports || transports.includes(event.transport)) && (service === undefined || event.service === service)) {
      if (others++ < MAX_EVENTS) batch.push(event)
      else dropped++
    }
  }
  if (client.isBehind) {
    viewer.dropped += batch.length + dropped
    return batch.length + dropped
  }
  const untold = dropped + viewer.dropped
  viewer.dropped = 0
  if (batch.length > 0 || untold > 0) say(client, { type: 'events', events: batch, dropped: untold })
  return dropped
}

/** Returns the request, or the reason why it is wrong. */
export function readRequest (message: Buffer): FeedRequest | string {
  if (message.length > MAX_REQUEST_BYTES) return `a request may have at most ${MAX_REQUEST_BYTES} bytes`
  let request: unknown
  try {
    request = JSON.parse(String(message))
  } catch {
    return 'a request must be JSON'
  }
  if (typeof request !== 'object' || request === null || Array.isArray(request)) return 'a request must be an object'
  const { transports, service, follow, ...others } = request as Record<string, unknown>
  const [other] = Object.keys(others)
  if (other !== undefined) return `a request may have transports, service and follow, not ${JSON.stringify(other.slice(0, MAX_NAME))}`
  if (transports !== undefined && !(Array.isArray(transports) && transports.length <= TRANSPORTS.length && transports.every((one) => TRANSPORTS.includes(one)))) {
    return `transports must be a list of ${TRANSPORTS.join(', ')}`
  }
  if (service !== undefined && !(typeof service === 'string' && service.length <= MAX_NAME)) return 'service must be a name'
  if (follow !== undefined && !(Number.isSafeInteger(follow) && Number(follow) > 0)) return 'follow must be the number of a connection'
  return request as FeedRequest
}
