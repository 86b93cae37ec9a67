/** The HTTP runner: binds HTTP's ports, accounts for its connections and requests, and drains them. */
import type { IncomingMessage } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { formatAddress, network } from '../address.ts'
import type { Connection } from '../connections.ts'
import type { Endpoint, EndpointDescription } from '../endpoint.ts'
import { Gate } from '../gate.ts'
import { printable } from '../printable.ts'
import { endpointsOf } from './endpoints-of.ts'
import { capConnections, close, endIfSilent, listen } from './net-server.ts'
import { peerOf } from './peer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The HTTP connection on a socket ends because the socket is upgraded: returns the connection's number, for its next life. */
    upgradeConnection: (socket: Socket) => number | undefined
    /** The HTTP connection on a socket; undefined where there is none, as with `inject`. */
    connectionOf: (socket: Socket) => Connection | undefined
    /** How many requests of a socket have no answer yet. */
    requestsUnderWay: (socket: Socket) => number
    /** The logger of the connection on a socket, or the app's own. */
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
interface Tracked {
  readonly connection: Connection
  /** Requests under way, all, and the last. */
  requests: number
  total: number
  last: IncomingMessage | undefined
  bytesRead: number
  bytesWritten: number
}

export const http = fastifyPlugin(async function http (app) {
  const { config, connections } = app
  const server = app.server as Server
  const servers: Server[] = []
  const tracked = new Map<Socket, Tracked>()
  const endpoints = new Map<number, Endpoint>()
  /** Where HTTP has one port; asking a connection for its own is a system call. */
  let sole: Endpoint | undefined
  const gate = new Gate(config.http)
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
    gate.leave(seen.connection.network)
    count(socket, seen)
    seen.connection.closed(reason)
    return seen
  }

  // The same two for all sockets.
  function onEnd (this: Socket): void { tracked.get(this)?.connection.because('closed by client') }
  function onClose (this: Socket): void { end(this, 'closed by service') }

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    const endpoint = sole ?? endpoints.get(socket.localPort ?? 0)
    if (!peer || !endpoint) {
      socket.destroy()
      return
    }
    const refusal = gate.refusal(network(peer.address))
    if (refusal) {
      socket.destroy()
      connections.refuse(endpoint, `HTTP_${refusal}`, formatAddress(peer.address, peer.port))
      return
    }
    const connection = connections.open(endpoint, peer, () => socket.destroy())
    gate.enter(connection.network)
    tracked.set(socket, { connection, requests: 0, total: 0, last: undefined, bytesRead: 0, bytesWritten: 0 })
    socket.on('end', onEnd).on('close', onClose)
  })
  // Fastify answers these; what is left is to count them.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const seen = tracked.get(socket)
    if (!seen) return
    if (error.code === 'HPE_HEADER_OVERFLOW') seen.connection.crossed('HTTP_MAX_HEADER_BYTES')
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') seen.connection.crossed(seen.last?.complete === false ? 'HTTP_REQUEST_MS' : 'HTTP_HEADERS_MS')
    else seen.connection.failed(error)
  })
  // Node leaves what follows to whoever listens.
  server.on('timeout', (socket: Socket) => endIfSilent(socket, () => {
    const seen = tracked.get(socket)
    const isBetweenRequests = seen !== undefined && seen.requests === 0 && seen.total > 0
    seen?.connection.crossed(isBetweenRequests ? 'HTTP_KEEP_ALIVE_MS' : 'HTTP_IDLE_MS', 'idle')
    socket.destroy()
  }))

  app.decorate('upgradeConnection', (socket) => {
    socket.off('end', onEnd).off('close', onClose)
    return end(socket, 'upgraded')?.connection.id
  })
  app.decorate('connectionOf', (socket) => tracked.get(socket)?.connection)
  app.decorate('requestsUnderWay', (socket) => tracked.get(socket)?.requests ?? 0)
  app.decorate('connectionLog', (socket) => tracked.get(socket)?.connection.log ?? app.log)

  // Not async, as those of http-limits: a pipelined request would be counted before the one in front of it is looked at.
  app.addHook('onRequest', (request, _reply, done) => {
    const seen = tracked.get(request.raw.socket)
    if (!seen) return done()
    seen.requests++
    seen.last = request.raw
    if (++seen.total === config.http.maxRequests) seen.connection.endpoint.crossings.add('HTTP_MAX_REQUESTS')
    done()
  })
  // Not async, as those before the route: a promise a hook costs more than what this one does.
  app.addHook('onResponse', (request, reply, done) => {
    const { socket } = request.raw
    const seen = tracked.get(socket)
    if (!seen) return done()
    // The probe's ten a second would hide all others.
    if (!app.loop.probePeers.has(seen.connection.peer)) {
      connections.log.line(() => request.log, seen.connection.network, () => ({
        method: request.method,
        url: printable(request.originalUrl),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime)
      }), 'request')
    }
    seen.requests--
    count(socket, seen)
    // Node.js says `Connection: close` with the last answer that a connection may have, and leaves it open.
    if ((isDraining || seen.total >= config.http.maxRequests) && seen.requests === 0) socket.destroySoon()
    done()
  })

  for (const [index, endpoint] of endpointsOf(DESCRIPTION, config).entries()) {
    app.endpoints.push(endpoint)
    if (endpoint.state === 'off') continue
    // Further ports hand their connections to the one HTTP server: Node documents its 'connection' event for that.
    const listener = index === 0 ? server : createServer({ noDelay: true, allowHalfOpen: true }, (socket) => server.emit('connection', socket))
    // A WebSocket has left HTTP's gate, but not this server.
    capConnections(listener, config.http.maxConnections + config.websocket.maxConnections, (peer) => connections.refuse(endpoint, 'HTTP_MAX_CONNECTIONS', peer))
    servers.push(listener)
    app.addHook('onReady', () => endpoint.bind(async (port) => {
      const bound = await listen(listener, config.host, port)
      listener.on('error', (err) => connections.failed(endpoint, err, 'accept failed'))
      endpoints.set(bound, endpoint)
      sole = endpoints.size === 1 ? endpoint : undefined
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
