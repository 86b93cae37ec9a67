/** Requests' bodies are read and counted, and nothing of them is kept: no route takes one. */
import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyReply, type FastifyRequest } from 'fastify'

const isTooLarge = ({ headers, routeOptions }: FastifyRequest) => Number(headers['content-length']) > routeOptions.bodyLimit

/**
 * A hook for preParsing, for every method: one that has no use for a body would read it without a limit. A client that waits for
 * `100 Continue` gets it when its body is wanted, and else the answer at once.
 */
export function inviteBody (request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: (error?: Error) => void): void {
  const { expect, 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (isTooLarge(request)) {
    reply.header('connection', 'close')
    return done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
  }
  // Nobody counts it.
  if (coding !== undefined && BODYLESS.includes(request.method)) reply.header('connection', 'close')
  if (expect?.toLowerCase() === '100-continue' && (coding !== undefined || Number(length) > 0)) reply.raw.writeContinue()
  done()
}

/** Methods whose body Fastify does not parse. */
const BODYLESS: readonly string[] = ['GET', 'HEAD', 'TRACE']

/**
 * A content-type parser, within the route's `bodyLimit`. A body of nested JSON, parsed, held the loop for half a second; one that
 * came in chunks of a byte, kept until it was whole, for 15 to 35 ms.
 * @param done is told FST_ERR_CTP_BODY_TOO_LARGE (413, after which Fastify closes the connection) or the request's own error (400).
 */
export function discardBody (request: FastifyRequest, payload: IncomingMessage, done: (error: Error | null) => void): void {
  const maxBytes = request.routeOptions.bodyLimit
  let bytes = 0

  function settle (error: Error | null): void {
    payload.off('data', onData).off('end', onEnd).off('error', onError)
    done(error)
  }
  const onEnd = () => settle(null)
  // The client's doing: it went away, or what it sent is no body.
  const onError = (error: Error) => settle(Object.assign(error, { statusCode: 400 }))
  function onData (chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > maxBytes) settle(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
  }

  payload.on('data', onData).on('end', onEnd).on('error', onError)
}
