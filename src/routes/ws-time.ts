import { defineWebSocketService, type WebSocketClient, type WebSocketService } from '../service.ts'
import { ctimeNow } from '../shared/ctime.ts'
import { inPieces } from '../shared/in-pieces.ts'

const SECOND_MS = 1000
/** In one turn of the loop: a send takes up to 40 µs, and 1,000 at once would hold it for 40 ms. */
const TOLD_AT_ONCE = 8

interface Listener { readonly client: WebSocketClient, told: string }

/** Created once for each app: one timer for all its clients, and none while nobody is connected. */
export function wsTime (): WebSocketService {
  const listeners = new Set<Listener>()
  let timer: NodeJS.Timeout | undefined
  /** Whether the last second was told to all: on a busy server the next one may come before. */
  let areTold = () => true

  function tell (listener: Listener, text: string): void {
    // A timer may fire a moment early, and a client may come a moment before a late one.
    if (listener.told === text || listener.client.isBehind) return
    listener.told = text
    listener.client.send(text)
  }

  function tick (): void {
    wait()
    if (!areTold()) return
    const text = ctimeNow()
    areTold = inPieces(listeners, TOLD_AT_ONCE, (listener) => tell(listener, text))
  }

  /** Until the next whole second. */
  function wait (): void {
    timer = setTimeout(tick, SECOND_MS - Date.now() % SECOND_MS)
  }

  return defineWebSocketService({
    name: 'ws-time',
    path: '/ws/time',
    summary: 'Sends the local time at once, then once a second.',
    example: { answer: /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}$/ },
    onConnection (client) {
      const listener = { client, told: '' }
      tell(listener, ctimeNow())
      if (listeners.size === 0) wait()
      listeners.add(listener)
      return {
        close () {
          listeners.delete(listener)
          if (listeners.size === 0) clearTimeout(timer)
        }
      }
    }
  })
}
