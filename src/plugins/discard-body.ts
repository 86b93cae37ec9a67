/** Reads, counts and discards request bodies: no route needs one. */
import type { IncomingMessage } from 'node:http'
import { errorCodes, type FastifyReply, type FastifyRequest } from 'fastify'

const isTooLarge = ({ headers, routeOptions }: FastifyRequest) => Number(headers['content-length']) > routeOptions.bodyLimit

/**
 * A preParsing hook for every method: the body of a GET would be read without a limit. A client that waits for `100 Continue`
 * gets it if the server reads its body, otherwise the final answer at once.
 */
export function inviteBody (request: FastifyRequest, reply: FastifyReply, _payload: unknown, done: (error?: Error) => void): void {
  const { expect, 'content-length': length, 'transfer-encoding': coding } = request.headers
  if (isTooLarge(request)) {
    reply.header('connection', 'close')
    return done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
  }
  // Nothing counts the bytes of this body, so the connection ends with the answer.
  if (coding !== undefined && BODYLESS.includes(request.method)) reply.header('connection', 'close')
  if (expect?.toLowerCase() === '100-continue' && (coding !== undefined || Number(length) > 0)) reply.raw.writeContinue()
  done()
}

/** Methods whose body Fastify does not parse. */
const BODYLESS: readonly string[] = ['GET', 'HEAD', 'TRACE']

/**
 * A content-type parser that counts a body within the route's `bodyLimit`. It neither parses nor keeps the body: deeply nested JSON
 * or chunks of one byte would hold the loop up.
 * @param done receives FST_ERR_CTP_BODY_TOO_LARGE (413, after which Fastify closes the connection) or the request's own error (400).
 */
export function discardBody (request: FastifyRequest, payload: IncomingMessage, done: (error: Error | null) => void): void {
  const maxBytes = request.routeOptions.bodyLimit
  let bytes = 0

  function settle (error: Error | null): void {
    payload.off('data', onData).off('end', onEnd).off('error', onError)
    done(error)
  }
  const onEnd = () => settle(null)
  // The client's fault: it went away, or its body is malformed.
  const onError = (error: Error) => settle(Object.assign(error, { statusCode: 400 }))
  function onData (chunk: Buffer): void {
    bytes += chunk.length
    if (bytes > maxBytes) settle(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE())
  }

  payload.on('data', onData).on('end', onEnd).on('error', onError)
}
