/** The HTTP runner: binds HTTP's ports, accounts for its connections and requests, and drains them. */
import { createServer, type Server, type Socket } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { reasonOf, type Connection } from '../connections.ts'
import type { Endpoint, EndpointDescription } from '../endpoint.ts'
import { printable } from '../printable.ts'
import { endpointsOf } from './endpoints-of.ts'
import { capConnections, close, listen } from './net-server.ts'
import { peerOf } from './peer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The HTTP connection on a socket ends because the socket is upgraded: returns the connection's number, for its next life. */
    upgradeConnection: (socket: Socket) => number | undefined
    /** The logger of the connection on a socket; the app's own where there is none, as with `inject`. */
    connectionLog: (socket: Socket) => FastifyBaseLogger
  }
}

const DESCRIPTION: EndpointDescription = {
  name: 'http',
  transport: 'http',
  summary: 'Serves the page, its health and its services as JSON.',
  example: { answer: /"status":"ok"/ }
}

/** An HTTP connection and what of its socket's bytes was counted. */
interface Tracked { connection: Connection, requests: number, bytesRead: number, bytesWritten: number }

export const http = fastifyPlugin(async function http (app) {
  const { config, connections } = app
  const server = app.server as Server
  const servers: Server[] = []
  const tracked = new Map<Socket, Tracked>()
  const endpoints = new Map<number, Endpoint>()
  let isDraining = false

  function count (socket: Socket, seen: Tracked): void {
    const read = socket.bytesRead - seen.bytesRead
    const written = socket.bytesWritten - seen.bytesWritten
    if (read > 0) seen.connection.received(read)
    if (written > 0) seen.connection.sent(written)
    seen.bytesRead += read
    seen.bytesWritten += written
  }

  function end (socket: Socket, reason: string): Tracked | undefined {
    const seen = tracked.get(socket)
    if (!seen) return
    tracked.delete(socket)
    count(socket, seen)
    seen.connection.closed(reason)
    return seen
  }

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    const endpoint = endpoints.get(socket.localPort ?? 0)
    if (!peer || !endpoint) {
      socket.destroy()
      return
    }
    const connection = connections.open(endpoint, peer, () => socket.destroy())
    tracked.set(socket, { connection, requests: 0, bytesRead: 0, bytesWritten: 0 })
    socket.once('end', () => connection.because('closed by client'))
    socket.once('close', () => end(socket, 'closed by service'))
  })
  server.on('clientError', (error: Error, socket: Socket) => tracked.get(socket)?.connection.because(reasonOf(error)))

  app.decorate('upgradeConnection', (socket) => end(socket, 'upgraded')?.connection.id)
  app.decorate('connectionLog', (socket) => tracked.get(socket)?.connection.log ?? app.log)

  app.addHook('onRequest', async (request) => {
    const seen = tracked.get(request.raw.socket)
    if (seen) seen.requests++
  })
  app.addHook('onResponse', async (request, reply) => {
    const { socket } = request.raw
    const seen = tracked.get(socket)
    // Ten a second would hide all others.
    const isProbe = seen !== undefined && app.loop.probePeers.has(seen.connection.peer)
    if (!isProbe) {
      request.log.info({
        method: request.method,
        url: printable(request.url),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime)
      }, 'request')
    }
    if (!seen) return
    seen.requests--
    count(socket, seen)
    if (isDraining && seen.requests === 0) socket.destroySoon()
  })

  for (const [index, endpoint] of endpointsOf(DESCRIPTION, config).entries()) {
    app.endpoints.push(endpoint)
    if (endpoint.state === 'off') continue
    // Further ports hand their connections to the one HTTP server: Node documents its 'connection' event for that.
    const listener = index === 0 ? server : createServer({ noDelay: true, allowHalfOpen: true }, (socket) => server.emit('connection', socket))
    capConnections(listener, config.http.maxConnections, (peer) => connections.refuse(endpoint, 'HTTP_MAX_CONNECTIONS', peer))
    servers.push(listener)
    app.addHook('onReady', () => endpoint.bind(async (port) => {
      const bound = await listen(listener, config.host, port)
      listener.on('error', (err) => app.log.error({ err, service: endpoint.name }, 'accept failed'))
      endpoints.set(bound, endpoint)
      return bound
    }))
  }

  let closed: Promise<unknown> = Promise.resolve()
  app.addHook('preClose', async () => {
    isDraining = true
    closed = Promise.all(servers.map(close))
    // A connection between two requests, or before its first, has nothing to wait for.
    for (const [socket, seen] of tracked) {
      if (seen.requests > 0) continue
      seen.connection.because('server draining')
      socket.destroySoon()
    }
  })
  app.addHook('onClose', async () => { await closed })
})
