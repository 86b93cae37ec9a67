import { ctimeNow } from '../ctime.ts'
import { defineWebSocketService, type WebSocketClient, type WebSocketService } from '../service.ts'

const TICK_MS = 1000
/** So many are told before everybody else is served: it takes less than a protocol's share of a turn. */
const TOLD_AT_ONCE = 32

function tell (clients: WebSocketClient[], text: string): void {
  for (const client of clients.splice(0, TOLD_AT_ONCE)) if (!client.isBehind) client.send(text)
  if (clients.length > 0) setImmediate(tell, clients, text)
}

/** Made once an app: one timer for all its clients, and none while nobody is connected. */
export function wsTime (): WebSocketService {
  const clients = new Set<WebSocketClient>()
  let timer: NodeJS.Timeout | undefined

  function tick (): void {
    tell([...clients], ctimeNow())
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
