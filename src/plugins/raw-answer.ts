/** Answers to requests that never reach Fastify: malformed and late ones, and CONNECT. */
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { printable } from '../shared/printable.ts'
import { sessionOf, type HttpSession } from './http-session.ts'
import { securityHeaders } from './web.ts'

interface Answer {
  readonly statusCode: number
  readonly code: string
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}

const BROKEN: Readonly<Record<string, Answer>> = {
  HPE_HEADER_OVERFLOW: { statusCode: 431, code: 'ERR_HTTP_MAX_HEADER_BYTES', message: 'The request\'s headers are larger than HTTP_MAX_HEADER_BYTES' },
  HPE_CHUNK_EXTENSIONS_OVERFLOW: { statusCode: 413, code: 'ERR_HTTP_CHUNK_EXTENSIONS', message: 'The chunk extensions are too large' },
  ERR_HTTP_REQUEST_TIMEOUT: { statusCode: 408, code: 'ERR_HTTP_TIMEOUT', message: 'The request did not arrive in time: HTTP_HEADERS_MS, HTTP_REQUEST_MS' }
}

/** Handles http.Server's 'clientError': counts the error, and answers once earlier requests are answered. */
export function answerBrokenRequest (error: NodeJS.ErrnoException, stream: Duplex): void {
  const session = sessionOf(stream)
  if (!session) {
    stream.destroy()
    return
  }
  if (error.code === 'ECONNRESET' || error.code === 'EPIPE' || !stream.writable) {
    session.connection.failed(error)
    stream.destroy()
    return
  }
  // Bytes after `Connection: close` or after a broken request are not a request.
  if (session.isEnding || error.code === 'HPE_CLOSED_CONNECTION') return
  session.isEnding = true
  if (error.code === 'HPE_HEADER_OVERFLOW') session.connection.crossed('HTTP_MAX_HEADER_BYTES')
  else if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') session.connection.crossed(session.last?.complete === false ? 'HTTP_REQUEST_MS' : 'HTTP_HEADERS_MS')
  else session.connection.failed(error)
  const answer = BROKEN[error.code ?? ''] ?? { statusCode: 400, code: 'ERR_HTTP_SYNTAX', message: `This is not an HTTP/1.1 request: ${error.code}` }
  // Do not wait for the request whose own body is broken: its route still waits for the rest of the body.
  const isWaiting = session.last?.complete === false && !session.isLastAnswered
  session.afterAnswers(() => session.linger(render(answer)), isWaiting ? 1 : 0)
}

/** CONNECT asks for a tunnel, which only a proxy provides (RFC 9110, section 9.3.6). */
export function answerConnect (session: HttpSession, url = ''): void {
  const answer = { statusCode: 405, code: 'ERR_METHOD_NOT_ALLOWED', message: 'This server is not a proxy: CONNECT is not allowed', headers: { allow: 'GET, HEAD, OPTIONS' } }
  session.connection.tell({ method: 'CONNECT', url: printable(url), status: answer.statusCode }, 'request')
  session.isEnding = true
  session.afterAnswers(() => session.linger(render(answer)))
}

function render ({ statusCode, code, message, headers }: Answer): string {
  const body = JSON.stringify({ statusCode, error: STATUS_CODES[statusCode], code, message })
  const all = { connection: 'close', 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(body), ...headers, ...securityHeaders }
  return `HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\n${Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`
}
