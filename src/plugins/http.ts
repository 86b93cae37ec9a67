/** The HTTP runner: hands clients to Fastify's server, and accounts for their connections and requests. */
import fastifyPlugin from 'fastify-plugin'
import { printable } from '../shared/printable.ts'
import type { EndpointDescription } from '../traffic/endpoint.ts'
import { Gate } from '../traffic/gate.ts'
import type { Step } from '../wire/index.ts'
import { listen } from '../wire/listen.ts'
import { HttpSession, sessionOf } from './http-session.ts'

const DESCRIPTION: EndpointDescription = {
  name: 'http',
  transport: 'http',
  summary: 'Serves the page, its health and its services as JSON.',
  example: { answer: /"status":"ok"/ }
}

export const http = fastifyPlugin<{ steps: readonly Step[] }>(async function http (app, { steps }) {
  const { config, connections } = app
  const gate = new Gate(config.http)
  // The sweep ends silent connections: Node.js would set a timer with each answer. Fastify takes 0 for its default.
  app.server.keepAliveTimeout = 0
  // Sessions end silent clients, and say why. Without a listener Node.js would be first.
  app.server.on('timeout', () => {})
  for (const endpoint of app.ports.endpointsOf(DESCRIPTION)) {
    app.endpoints.push(endpoint)
    app.ports.add(endpoint, listen({
      endpoint,
      gate,
      limits: 'HTTP',
      connections,
      steps,
      onClient (client) {
        new HttpSession(client, endpoint, connections, config.http).start(app.server)
      }
    }))
  }
  // An http.Server that never listens looks for no slow requests (headersTimeout, requestTimeout): it begins to when it hears
  // that it listens. The sockets that listen are the wire's, so it is told here. Node.js's manual does not say so.
  app.addHook('onReady', async () => { app.server.emit('listening') })

  // Not async, like those of http-limits: a pipelined request would be counted before the one in front of it is looked at.
  app.addHook('onRequest', (request, reply, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    if (session.isEnding) {
      // What is pipelined behind the last answer costs no more than this.
      request.raw.resume()
      reply.hijack()
      return
    }
    session.requests++
    session.unanswered++
    session.last = request.raw
    session.isLastAnswered = false
    if (++session.total === config.http.maxRequests) session.connection.endpoint.crossings.add('HTTP_MAX_REQUESTS')
    done()
  })
  app.addHook('onSend', (request, reply, _payload, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    session.unanswered--
    // Fastify says so for requests that come during a drain, and not for those that are under way.
    if (session.isHandedOver || session.connection.endpoint.state === 'draining') reply.header('connection', 'close')
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    const { connection } = session
    // The probe's ten a second would hide all others.
    if (!app.loop.probePeers.has(connection.peer) && connections.log.admits(connection.network)) {
      connections.log.line(request.log, {
        method: request.method,
        url: printable(request.originalUrl),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime)
      }, 'request')
    }
    // A refused handshake: @fastify/websocket would destroy the connection before the client has the answer.
    if (request.raw === session.last) session.isLastAnswered = true
    const isRefused = session.isHandedOver
    if (isRefused) request.ws = false
    session.answered()
    // Node.js says `Connection: close` with the last answer that a connection may have, and leaves it open.
    if (isRefused || (session.total >= config.http.maxRequests && session.requests === 0)) session.linger()
    done()
  })
})
