/** Bare Fastify with @fastify/websocket, without a logger, and the raw sockets of bare Node. Prints its ports. */
import websocket from '@fastify/websocket'
import fastify from 'fastify'
import { listenOnAll } from './sockets.mjs'

const app = fastify()
await app.register(websocket, { options: { perMessageDeflate: false } })
app.get('/', (request, reply) => { reply.send('Hello, world') })
app.get('/ws/echo', { websocket: true }, (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
await app.listen({ port: 0, host: '127.0.0.1' })
console.log(JSON.stringify({ http: app.server.address().port, ...await listenOnAll() }))
