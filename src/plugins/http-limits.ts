/** Limits that are checked before a route runs: pipelining, headers, the rate of an address, and shortage of memory or loop time. */
import type { IncomingMessage, Server } from 'node:http'
import type { FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { LimitError } from '../traffic/limit-error.ts'
import { Rates } from '../traffic/rates.ts'
import { discardBody, inviteBody } from './discard-body.ts'
import { sessionOf, type HttpSession } from './http-session.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Answered even while the server is short of memory or loop time, with its own rate: health, readiness and metrics. */
    isVital?: true
  }
}

const RETRY_MS = 1000

/** Errors of routes and of Fastify that mean a crossed limit, and its name. */
const CROSSED: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'HTTP_MAX_BODY_BYTES',
  ERR_LAB_BUSY: 'LAB_BUSY',
  ERR_LAB_BUDGET: 'LAB_BUDGET'
}

export const httpLimits = fastifyPlugin(async function httpLimits (app) {
  const { config, connections } = app
  const rates = new Rates(config.http.rate, config.maxAddresses)
  // A flood of other requests from the same address must not make a health check fail.
  const vitalRates = new Rates(config.http.rate, config.maxAddresses)
  // No limit in Node.js, which would silently drop the headers above it. They are counted here, within HTTP_MAX_HEADER_BYTES.
  ;(app.server as Server).maxHeadersCount = 0
  // An unknown expectation is ignored (RFC 9110, section 10.1.1): Node.js would answer 417 past every hook.
  app.server.on('checkExpectation', app.routing)
  // inviteBody sends `100 Continue`, not Node.js.
  app.server.on('checkContinue', app.routing)
  app.addHook('preParsing', inviteBody)
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', discardBody)

  function refusal (request: FastifyRequest, { unanswered, connection }: HttpSession): LimitError | undefined {
    const { maxHeaders, maxPipelined, rate } = config.http
    if (unanswered > maxPipelined) return new LimitError(429, 'HTTP_MAX_PIPELINED', `more than ${maxPipelined} unanswered requests`)
    if (request.raw.rawHeaders.length > 2 * maxHeaders) return new LimitError(431, 'HTTP_MAX_HEADERS', `more than ${maxHeaders} headers`)
    const isVital = request.routeOptions.config.isVital === true
    if (!(isVital ? vitalRates : rates).take(connection.network)) {
      return new LimitError(429, 'HTTP_RATE', `more than ${rate.perSecond} requests a second from one address`, RETRY_MS)
    }
    const shortage = isVital ? undefined : app.pressure.shortage()
    if (shortage) return new LimitError(503, shortage.limit, shortage.message, RETRY_MS)
  }

  app.addHook('onRequest', (request, reply, done) => {
    const session = sessionOf(request.raw.socket)
    // `inject` has no session. It and the probe are trusted.
    if (!session || app.loop.probePeers.has(session.connection.peer)) return done()
    const { connection } = session
    const error = refusal(request, session)
    if (error) {
      connections.refuse(connection.endpoint, error.limit, connection.peer)
      if (error.statusCode === 429) {
        session.isEnding = true
        // Node.js closes the connection once this answer is out.
        reply.header('connection', 'close')
      }
      return done(error)
    }
    // Checked last: a bad request counts against its address's rate too.
    if (isHostRight(request.raw)) return done()
    connections.refuse(connection.endpoint, 'ERR_HOST', connection.peer)
    done(new HostError())
  })

  app.addHook('onError', async (request, _reply, error) => {
    const limit = CROSSED[error.code]
    if (limit) sessionOf(request.raw.socket)?.connection.endpoint.crossings.add(limit)
  })
})

/** A name or an address, and perhaps a port (RFC 9110, section 7.2): safe to show on a page and in a log. */
const HOST = /^(?:\[[\da-f:.]+\]|[\w.-]*)(?::\d{0,5})?$/i

/** Whether a request has exactly one, valid Host header. `headers` has only the first one, so the raw headers are counted. */
function isHostRight ({ rawHeaders, httpVersion, headers: { host = '' } }: IncomingMessage): boolean {
  let count = 0
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]
    if (name?.length === 4 && name.toLowerCase() === 'host') count++
  }
  return (count === 1 || (count === 0 && httpVersion !== '1.1')) && HOST.test(host)
}

class HostError extends Error {
  readonly statusCode = 400
  readonly code = 'ERR_HOST'

  constructor () {
    super('a request must have one Host header: a name or an address, with or without a port (RFC 9112, section 3.2)')
  }
}
