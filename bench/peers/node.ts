/**
 * Bare Node.js in one process, each part as its manual shows it: node:net, node:dgram, node:http and ws. With the argument
 * `fastify`, Fastify and @fastify/websocket replace the last two. Prints its ports.
 */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import websocket from '@fastify/websocket'
import fastify from 'fastify'
import { WebSocketServer, type WebSocket } from 'ws'

const HOST = '127.0.0.1'
const BODY = 'Hello, world'

function echo (socket: WebSocket): void {
  socket.on('error', () => {})
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }))
}

async function bareHttp (): Promise<Server> {
  const server = createHttpServer((_request, response) => { response.setHeader('Content-Type', 'text/plain').end(BODY) })
  new WebSocketServer({ server, path: '/ws/echo', perMessageDeflate: false }).on('connection', echo)
  await once(server.listen(0, HOST), 'listening')
  return server
}

async function bareFastify (): Promise<Server> {
  const app = fastify()
  await app.register(websocket, { options: { perMessageDeflate: false } })
  app.get('/', (_request, reply) => { reply.send(BODY) })
  app.get('/ws/echo', { websocket: true }, echo)
  await app.listen({ port: 0, host: HOST })
  return app.server
}

async function raw (onConnection: (socket: Socket) => void): Promise<Server> {
  const server = createServer((socket) => onConnection(socket.on('error', () => socket.destroy())))
  await once(server.listen(0, HOST), 'listening')
  return server
}

const udp = createSocket('udp4').on('error', () => {})
udp.on('message', (message, { port, address }) => udp.send(message, port, address))
await once(udp.bind(0, HOST), 'listening')
const port = (server: Server) => (server.address() as AddressInfo).port
console.log(JSON.stringify({
  http: port(await (process.argv[2] === 'fastify' ? bareFastify() : bareHttp())),
  tcp: port(await raw((socket) => socket.pipe(socket))),
  time: port(await raw((socket) => socket.end(`${new Date()}\r\n`))),
  udp: udp.address().port
}))
