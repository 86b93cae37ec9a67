/** How protocols and lessons are called where people read of them: on the page, in its script, in the sentences. */
import type { LessonKind } from './messages.ts'
import type { Transport } from './transport.ts'

export const PROTOCOLS: Readonly<Record<Transport, string>> = { http: 'HTTP', websocket: 'WebSocket', tcp: 'TCP', udp: 'UDP' }
export const LESSONS: Readonly<Record<LessonKind, string>> = { block: 'Block', wait: 'Wait', worker: 'Worker' }
