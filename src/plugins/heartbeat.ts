/** One beat of all WebSockets: each is pinged, and ended if it gave no sign of life since the last one. */
import type { Roster } from '../roster.ts'
import type { Turn, Waiter } from '../turn.ts'
import type { WebSocketSession } from './websocket-session.ts'

/** So many take less than a protocol's share. */
const PINGS_AT_ONCE = 16

/** Pings everybody, so many in each turn as there is time for: 15,000 pings at once held the loop for a fifth of a second. */
export class Heartbeat implements Waiter {
  readonly #turn: Turn
  readonly #sessions: Roster<WebSocketSession>
  readonly #toPing: WebSocketSession[]

  constructor (turn: Turn, sessions: Roster<WebSocketSession>) {
    this.#turn = turn
    this.#sessions = sessions
    this.#toPing = [...sessions]
  }

  onTurn (): void {
    for (let i = 0; i < PINGS_AT_ONCE; i++) {
      const session = this.#toPing.pop()
      if (!session) return
      // It may have been closed since the beat began.
      if (this.#sessions.has(session)) session.ping()
    }
    this.#turn.wait(this)
  }
}
