/** The HTTP runner: binds HTTP's ports, accounts for its connections and requests, and drains them. */
import type { Server, Socket } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { formatAddress, network } from '../address.ts'
import type { Connection } from '../connections.ts'
import type { Endpoint, EndpointDescription } from '../endpoint.ts'
import { Gate } from '../gate.ts'
import { printable } from '../printable.ts'
import { Roster } from '../roster.ts'
import { ALONE_MS, SHARE_MS, Turn } from '../turn.ts'
import { DirectClients } from './direct-clients.ts'
import { endpointsOf } from './endpoints-of.ts'
import { HTTP_READ_BYTES, HttpReader, type HttpReading } from './http-reader.ts'
import { HttpSession, sessionOf } from './http-session.ts'
import { peerOf } from './peer.ts'
import { TcpPort } from './tcp-port.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The HTTP connection on a socket ends because the socket is upgraded: returns the connection's number, for its next life, and what came behind the request. */
    upgradeConnection: (socket: Socket) => { id: number, early: Buffer } | undefined
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

/** How often the runner looks for clients that have been silent for too long. */
const SWEEP_MS = 1000
/** With one share a turn beside others its flood is a quarter slower, with four the others wait twice as long. */
const SHARES = 2

export const http = fastifyPlugin(async function http (app) {
  const { config, connections } = app
  const server = app.server as Server
  const ports: TcpPort[] = []
  const sessions = new Roster<HttpSession>()
  const endpoints = new Map<number, Endpoint>()
  /** Where HTTP has one port; asking a connection for its own is a system call. */
  let sole: Endpoint | undefined
  const gate = new Gate(config.http)
  const turn = new Turn(SHARES * SHARE_MS, { aloneMs: ALONE_MS, presence: app.presence })
  const reading: HttpReading = {
    turn,
    memory: Buffer.allocUnsafeSlow(HTTP_READ_BYTES),
    direct: new DirectClients(),
    watchParser: app.watchParser,
    readHttpInto: app.readHttpInto,
    readInto: app.readInto
  }
  let isDraining = false
  /** A WebSocket has left HTTP's gate, and who was turned away as one has not come to another, but each of them is open. */
  const maxSockets = config.http.maxConnections + config.websocket.maxConnections
  let sockets = 0

  function end (socket: Socket, reason: string): HttpSession | undefined {
    const session = sessionOf(socket)
    if (!session) return
    sessions.delete(session)
    gate.leave(session.connection.network)
    session.end(reason)
    session.reader.end()
    return session
  }

  // The same two for all sockets.
  function onEnd (this: Socket): void { sessionOf(this)?.connection.because('closed by client') }
  function onClose (this: Socket): void {
    sockets--
    end(this, 'closed by service')
  }

  server.on('connection', (socket: Socket) => {
    const peer = peerOf(socket)
    const endpoint = sole ?? endpoints.get(socket.localPort ?? 0)
    if (!peer || !endpoint) {
      socket.destroy()
      return
    }
    const refusal = sockets >= maxSockets ? 'MAX_CONNECTIONS' : gate.refusal(network(peer.address))
    if (refusal) {
      socket.destroy()
      connections.refuse(endpoint, `HTTP_${refusal}`, formatAddress(peer.address, peer.port))
      return
    }
    const connection = connections.open(endpoint, peer, socket)
    gate.enter(connection.network)
    sockets++
    const reader = new HttpReader(socket, reading)
    reader.start()
    sessions.add(new HttpSession(socket, connection, reader, config.http))
    socket.on('end', onEnd).on('close', onClose)
  })
  // Before everybody else who listens to it.
  server.prependListener('upgrade', (_request, socket: Socket, head: Buffer) => sessionOf(socket)?.reader.leave(head))
  // Fastify answers these; what is left is to count them.
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const session = sessionOf(socket)
    if (!session) return
    if (error.code === 'HPE_HEADER_OVERFLOW') session.connection.crossed('HTTP_MAX_HEADER_BYTES')
    else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') session.connection.crossed(session.last?.complete === false ? 'HTTP_REQUEST_MS' : 'HTTP_HEADERS_MS')
    else session.connection.failed(error)
  })
  const sweep = setInterval(() => {
    const now = performance.now()
    for (const session of sessions) session.sweep(now)
  }, Math.min(SWEEP_MS, config.http.idleMs, config.http.keepAliveMs)).unref()

  app.decorate('upgradeConnection', (socket) => {
    socket.off('end', onEnd)
    const session = end(socket, 'upgraded')
    return session && { id: session.connection.id, early: session.reader.takeOver() }
  })
  app.decorate('connectionOf', (socket) => sessionOf(socket)?.connection)
  app.decorate('requestsUnderWay', (socket) => sessionOf(socket)?.requests ?? 0)
  app.decorate('connectionLog', (socket) => sessionOf(socket)?.connection.log ?? app.log)

  // Not async, as those of http-limits: a pipelined request would be counted before the one in front of it is looked at.
  app.addHook('onRequest', (request, _reply, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    session.requests++
    session.last = request.raw
    if (++session.total === config.http.maxRequests) session.connection.endpoint.crossings.add('HTTP_MAX_REQUESTS')
    done()
  })
  // Not async, as those before the route: a promise a hook costs more than what this one does.
  app.addHook('onResponse', (request, reply, done) => {
    const { socket } = request.raw
    const session = sessionOf(socket)
    if (!session) return done()
    // The probe's ten a second would hide all others.
    if (!app.loop.probePeers.has(session.connection.peer) && connections.log.admits(session.connection.network)) {
      connections.log.line(request.log, {
        method: request.method,
        url: printable(request.originalUrl),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime)
      }, 'request')
    }
    session.requests--
    session.count()
    // Node.js says `Connection: close` with the last answer that a connection may have, and leaves it open.
    if ((isDraining || session.total >= config.http.maxRequests) && session.requests === 0) socket.destroySoon()
    done()
  })

  for (const [index, endpoint] of endpointsOf(DESCRIPTION, config).entries()) {
    app.endpoints.push(endpoint)
    if (endpoint.state === 'off') continue
    const port = new TcpPort({
      // One HTTP server for all of them: Node.js documents its 'connection' event for that.
      onConnection: (socket) => server.emit('connection', socket),
      onListening: (listener) => app.acceptLazily(listener, server, turn, () => reading.direct.hasRoom),
      onError: (err) => connections.failed(endpoint, err, 'accept failed'),
      noDelay: true,
      ...(index === 0 && { first: server })
    })
    ports.push(port)
    app.addHook('onReady', () => endpoint.bind(async (wanted) => {
      const bound = await port.listen(config.host, wanted)
      endpoints.set(bound, endpoint)
      sole = endpoints.size === 1 ? endpoint : undefined
      return bound
    }))
  }

  let closed: Promise<unknown> = Promise.resolve()
  app.addHook('preClose', async () => {
    isDraining = true
    clearInterval(sweep)
    closed = Promise.all(ports.map((port) => port.close()))
    // A connection between two requests, or before its first, has nothing to wait for.
    for (const session of sessions) {
      if (session.requests === 0) session.drain()
    }
  })
  app.addHook('onClose', async () => { await closed })
})
