/** Bare Node: `node:http`, `ws`, `node:net` and `node:dgram` in one process, each as its manual shows it. Prints its ports. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import { WebSocketServer } from 'ws'
import { listenOnAll } from './sockets.mjs'

const server = createServer((request, response) => {
  response.setHeader('Content-Type', 'text/plain')
  response.end('Hello, world')
})
new WebSocketServer({ server, path: '/ws/echo', perMessageDeflate: false }).on('connection', (socket) => {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
})
await once(server.listen(0, '127.0.0.1'), 'listening')
console.log(JSON.stringify({ http: server.address().port, ...await listenOnAll() }))
