import { defineWebSocketService } from '../service.ts'

/** ws itself answers pings, close codes and subprotocols (RFC 6455, sections 5.5.2, 5.5.1, 4.2.2). */
export const wsEcho = defineWebSocketService({
  name: 'ws-echo',
  path: '/ws/echo',
  summary: 'Sends every message back: text as text, binary as binary.',
  example: { send: 'Hello, world', answer: /^Hello, world$/ },
  onConnection: (client) => (message, isBinary) => client.send(message, isBinary)
})
