import { defineWebSocketService } from '../service.ts'

/** Ping, close code and subprotocol are answered by ws itself, as RFC 6455 has them (sections 5.5.2, 5.5.1, 4.2.2). */
export const wsEcho = defineWebSocketService({
  name: 'ws-echo',
  path: '/ws/echo',
  summary: 'Sends every message back: text as text, binary as binary.',
  example: { send: 'Hello, world', answer: /^Hello, world$/ },
  onConnection: (client) => (message, isBinary) => client.send(message, isBinary)
})
