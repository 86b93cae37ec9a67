/** The HTTP runner: passes clients to Fastify's server, and counts their connections and requests. */
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
  // Set here because Fastify takes 0 for its default. The sweep ends silent connections, which saves Node.js a timer for each answer.
  app.server.keepAliveTimeout = 0
  // Sessions end silent clients and log why. Without a listener, Node.js would destroy the socket first.
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
  // An http.Server checks headersTimeout and requestTimeout only after its 'listening' event. Here the wire listens, so the event
  // is emitted by hand. Node.js does not document this.
  app.addHook('onReady', async () => { app.server.emit('listening') })

  // Not async, like the hooks of http-limits: otherwise a pipelined request would be counted before the one in front is checked.
  app.addHook('onRequest', (request, reply, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    if (session.isEnding) {
      // Discards requests that are pipelined behind the last answer.
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
    // Fastify adds this header to requests that arrive during a drain, but not to those already in progress.
    if (session.isHandedOver || session.connection.endpoint.state === 'draining') reply.header('connection', 'close')
    done()
  })
  app.addHook('onResponse', (request, reply, done) => {
    const session = sessionOf(request.raw.socket)
    if (!session) return done()
    const { connection } = session
    // The probe's ten requests a second would hide all others.
    if (!app.loop.probePeers.has(connection.peer) && connections.log.admits(connection.network)) {
      connections.log.line(request.log, {
        method: request.method,
        url: printable(request.originalUrl),
        status: reply.statusCode,
        durationMs: Math.round(reply.elapsedTime)
      }, 'request')
    }
    // After a refused handshake, @fastify/websocket would destroy the connection before the client has the answer.
    if (request.raw === session.last) session.isLastAnswered = true
    const isRefused = session.isHandedOver
    if (isRefused) request.ws = false
    session.answered()
    // Node.js sends `Connection: close` with the last allowed answer, but leaves the connection open.
    if (isRefused || (session.total >= config.http.maxRequests && session.requests === 0)) session.linger()
    done()
  })
})
