/** HTTP errors, as HTML or JSON by the client's Accept header: 404 and 405 for unknown paths and methods, others as thrown. */
import { STATUS_CODES } from 'node:http'
import fastifyAccepts from '@fastify/accepts'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import { LimitError } from '../traffic/limit-error.ts'
import { UNDECODABLE } from '../shared/request-target.ts'

/** Deepest path whose error page finds its style sheet. */
const MAX_DEPTH = 16

export const errors = fastifyPlugin(async function errors (app) {
  await app.register(fastifyAccepts)
  const methods = new Map<string, Set<string>>()
  app.addHook('onRoute', ({ url, method }) => {
    const known = methods.get(url) ?? new Set()
    for (const one of [method].flat()) known.add(one)
    methods.set(url, known)
  })

  function send (request: FastifyRequest, reply: FastifyReply, statusCode: number, message: string, code?: string) {
    const error = STATUS_CODES[statusCode] ?? 'Error'
    reply.code(statusCode).header('vary', 'accept')
    const body = { statusCode, error, ...(code !== undefined && { code }), message }
    if (request.accepts().type(['json', 'html']) !== 'html') return reply.send(body)
    // Relative, because a proxy may serve the app under a path prefix.
    const depth = (request.url.split('?', 1)[0] ?? '').split('/').length - 2
    return reply.view('error', { ...body, root: '../'.repeat(Math.min(Math.max(0, depth), MAX_DEPTH)) })
  }

  function sendNotFound (request: FastifyRequest, reply: FastifyReply) {
    if (request.url === UNDECODABLE) return send(request, reply, 400, 'The URL is not percent-encoded correctly', 'ERR_URL')
    const path = request.url.split('?', 1)[0] ?? ''
    const allowed = methods.get(path)
    if (!allowed) return send(request, reply, 404, `There is nothing at ${path}`, 'ERR_NOT_FOUND')
    const allow = [...allowed, 'OPTIONS'].sort().join(', ')
    reply.header('allow', allow)
    if (request.method === 'OPTIONS') return reply.code(204).send()
    return send(request, reply, 405, `${path} takes ${allow}, not ${request.method}`, 'ERR_METHOD_NOT_ALLOWED')
  }

  app.setNotFoundHandler(sendNotFound)
  // Answers before a client with `Expect: 100-continue` sends its body. Not async: Fastify would go on beside the answer.
  app.addHook('onRequest', (request, reply, done) => {
    if (!request.is404 || request.headers.expect === undefined) return done()
    // The client may send the body anyway.
    reply.header('connection', 'close')
    sendNotFound(request, reply)
  })

  app.setErrorHandler((error: FastifyError & { retryMs?: number, headers?: Record<string, string> }, request, reply) => {
    const statusCode = error.statusCode ?? 500
    if (error.retryMs !== undefined) reply.header('retry-after', Math.ceil(error.retryMs / 1000))
    if (error.headers) reply.headers(error.headers)
    if (error.code === 'FST_ERR_CTP_BODY_TOO_LARGE') return send(request, reply, 413, 'the body is larger than HTTP_MAX_BODY_BYTES', 'ERR_HTTP_MAX_BODY_BYTES')
    if (statusCode < 500 || error instanceof LimitError) return send(request, reply, statusCode, error.message, error.code)
    request.log.error({ err: error }, 'the route failed')
    return send(request, reply, statusCode, 'The server failed; its log says why', 'ERR_INTERNAL')
  })
})
