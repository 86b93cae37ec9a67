/** What a request may cost before its route runs: the number of its headers, its address's rate, and its place when the server is short of something. */
import type { IncomingMessage, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { LimitError } from '../limit-error.ts'
import { Rates } from '../rates.ts'
import { discardBody } from './discard-body.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered while the server is short of memory or of turns, with a rate of its own: health, readiness and metrics. */
    isVital?: true
  }
}

const RETRY_MS = 1000

/** The errors of routes and of Fastify that tell of a crossed limit. */
const CROSSED: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'HTTP_MAX_BODY_BYTES',
  ERR_LAB_BUSY: 'LAB_BUSY',
  ERR_LAB_BUDGET: 'LAB_BUDGET'
}

export const httpLimits = fastifyPlugin(async function httpLimits (app) {
  const { config, connections } = app
  const rates = new Rates(config.http.rate, config.maxAddresses)
  // A flood of others must not make a health check from behind the same address fail.
  const vitalRates = new Rates(config.http.rate, config.maxAddresses)
  /** Connections that end with a refusal. */
  const refused = new WeakSet<Socket>()
  // Node would drop those above its limit without a word (2000, halved by its parser): all are counted here, within HTTP_MAX_HEADER_BYTES.
  ;(app.server as Server).maxHeadersCount = 0
  // Node would answer 417 by itself, past every hook: an expectation that nobody knows is ignored (RFC 9110, section 10.1.1).
  app.server.on('checkExpectation', app.routing)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', discardBody)

  function refusal (request: FastifyRequest, network: string): LimitError | undefined {
    const { maxHeaders, maxPipelined, rate } = config.http
    if (app.requestsUnderWay(request.raw.socket) > maxPipelined) return new LimitError(429, 'HTTP_MAX_PIPELINED', `more than ${maxPipelined} requests without their answers`)
    if (request.raw.rawHeaders.length > 2 * maxHeaders) return new LimitError(431, 'HTTP_MAX_HEADERS', `more than ${maxHeaders} headers`)
    const isVital = request.routeOptions.config.isVital === true
    if (!(isVital ? vitalRates : rates).take(network)) {
      return new LimitError(429, 'HTTP_RATE', `more than ${rate.perSecond} requests a second from one address`, RETRY_MS)
    }
    const shortage = isVital ? undefined : app.pressure.shortage()
    if (shortage) return new LimitError(503, shortage.limit, shortage.message, RETRY_MS)
  }

  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw
    // What was pipelined behind a refusal costs no more than this.
    if (refused.has(socket)) {
      reply.hijack()
      return
    }
    const connection = app.connectionOf(socket)
    // No socket: `inject`; the probe: its own pings. Neither is a stranger.
    if (!connection || app.loop.probePeers.has(connection.peer)) return done()
    const error = refusal(request, connection.network)
    // Only now: a request that is wrong counts against its address's rate like any other.
    if (!error) return done(isHostRight(request.raw) ? undefined : new HostError())
    connections.refuse(connection.endpoint, error.limit, connection.peer)
    if (error.statusCode === 429) {
      refused.add(socket)
      // Node.js closes the connection once this answer is out.
      reply.header('connection', 'close')
    }
    done(error)
  })

  app.addHook('onError', async (request, _reply, error) => {
    const limit = CROSSED[error.code]
    if (limit) app.connectionOf(request.raw.socket)?.endpoint.crossings.add(limit)
  })
})

/** Whether a request has one Host header: Node keeps the first and drops the others, and asks an upgrade for none. */
function isHostRight ({ rawHeaders, httpVersion }: IncomingMessage): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === 'host') count++
  }
  return count === 1 || (count === 0 && httpVersion !== '1.1')
}

class HostError extends Error {
  readonly statusCode = 400
  readonly code = 'ERR_HOST'

  constructor () {
    super('a request has one Host header (RFC 9112, section 3.2)')
  }
}
