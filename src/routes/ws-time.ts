import { ctimeNow } from '../shared/ctime.ts'
import { inPieces } from '../shared/in-pieces.ts'
import { defineWebSocketService, type WebSocketClient, type WebSocketService } from '../service.ts'

const TICK_MS = 1000
/** In a turn: a send takes up to 40 µs, and 1,000 at once held the loop for 40 ms. */
const TOLD_AT_ONCE = 8

/** Made once an app: one timer for all its clients, and none while nobody is connected. */
export function wsTime (): WebSocketService {
  const clients = new Set<WebSocketClient>()
  let timer: NodeJS.Timeout | undefined
  /** Of the last tick: on a busy server a later one may come before all are. */
  let areTold = () => true

  function tick (): void {
    if (!areTold()) return
    const text = ctimeNow()
    areTold = inPieces(clients, TOLD_AT_ONCE, (client) => { if (!client.isBehind) client.send(text) })
  }

  return defineWebSocketService({
    name: 'ws-time',
    path: '/ws/time',
    summary: 'Sends the local time at once, then once a second.',
    example: { answer: /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}$/ },
    onConnection (client) {
      client.send(ctimeNow())
      clients.add(client)
      timer ??= setInterval(tick, TICK_MS)
      return {
        close () {
          clients.delete(client)
          if (clients.size > 0) return
          clearInterval(timer)
          timer = undefined
        }
      }
    }
  })
}
