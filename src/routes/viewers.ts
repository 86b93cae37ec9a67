/** Limits the viewers of `/ws/feed` and of `/ws/loop`: each gets about ten messages a second. */
import type { WebSocketClient } from '../service.ts'

const MAX_VIEWERS = 50
/** RFC 6455's registry of close codes. */
const TRY_AGAIN_LATER = 1013

/** Closes a client for which there is no room. Returns whether it did. */
export function isTurnedAway (client: WebSocketClient, viewers: ReadonlySet<unknown>): boolean {
  if (viewers.size < MAX_VIEWERS) return false
  client.close(TRY_AGAIN_LATER, 'too many viewers', 'VIEWERS')
  return true
}
