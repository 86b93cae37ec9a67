import { defineWebSocketService, type WebSocketClient, type WebSocketService } from '../service.ts'
import { ctimeNow } from '../shared/ctime.ts'
import { inPieces } from '../shared/in-pieces.ts'

const SECOND_MS = 1000
/** Clients told in one turn of the loop, so that a thousand of them do not hold it up. */
const TOLD_AT_ONCE = 8

interface Listener { readonly client: WebSocketClient, told: string }

/** Creates the service for one app. All its clients share one timer, which runs only while somebody is connected. */
export function wsTime (): WebSocketService {
  const listeners = new Set<Listener>()
  let timer: NodeJS.Timeout | undefined
  /** Whether every client was told the last second: on a busy server the next one may come first. */
  let areTold = () => true

  function tell (listener: Listener, text: string): void {
    // Sends no second twice: a timer may fire early, and a client may connect just before a late one.
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

  /** Waits until the next whole second. */
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
