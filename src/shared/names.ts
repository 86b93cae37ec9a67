/** Names of protocols, states and lessons for people: on the page, in its script, in sentences. */
import type { LessonKind } from './messages.ts'
import type { Transport } from './transport.ts'

export const PROTOCOLS: Readonly<Record<Transport, string>> = { http: 'HTTP', websocket: 'WebSocket', tcp: 'TCP', udp: 'UDP' }
/** A service's state in words. @param hadAt when its port came free (milliseconds since the epoch), if it was in use at the start. */
export function stateText ({ state, hadAt }: { readonly state: string, readonly hadAt?: number | undefined }): string {
  if (state === 'busy') return 'port in use: trying again'
  return state === 'open' && hadAt !== undefined ? `open since ${new Date(hadAt).toTimeString().slice(0, 8)}` : state
}
export const LESSONS: Readonly<Record<LessonKind, string>> = { block: 'Block', wait: 'Wait', worker: 'Worker' }
