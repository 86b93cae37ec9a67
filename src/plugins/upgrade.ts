/** Upgrades: passes WebSocket handshakes on, ignores other upgrades, and refuses CONNECT. */
import { EventEmitter } from 'node:events'
import type { IncomingMessage, Server } from 'node:http'
import type { Duplex } from 'node:stream'
import fastifyPlugin from 'fastify-plugin'
import { originForm } from '../shared/request-target.ts'
import { sessionOf, type HttpSession } from './http-session.ts'
import { answerConnect } from './raw-answer.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Emits 'upgrade' for WebSocket handshakes to the paths in `webSocketPaths`. */
    upgrades: Server
    webSocketPaths: Set<string>
  }
}

/** Connection options that belong to an upgrade (RFC 9110, section 7.6.1; RFC 7540, section 3.2). */
const UPGRADE_OPTIONS = ['upgrade', 'http2-settings']

export const upgrade = fastifyPlugin(async function upgrade (app) {
  const upgrades = new EventEmitter() as Server
  const paths = new Set<string>()
  app.decorate('upgrades', upgrades)
  app.decorate('webSocketPaths', paths)

  app.server.on('upgrade', (request: IncomingMessage, stream: Duplex, rest: Buffer) => {
    const session = openSession(stream)
    if (!session) return
    // Node.js's server does not wait for answers that are still pending on this connection.
    session.afterAnswers(() => {
      if (session.isEnding || stream.destroyed) return
      if (isWebSocket(request, paths)) {
        normalize(request)
        session.isHandedOver = true
        upgrades.emit('upgrade', request, stream, rest)
      } else if (stream.readableEnded) {
        // The client has half-closed meanwhile, and Node.js reads nothing more from it.
        session.linger()
      } else {
        // Node.js has stopped reading HTTP here, so it gets the same request again, without its upgrade.
        stream.unshift(Buffer.concat([headWithoutUpgrade(request), rest]))
        app.server.emit('connection', stream)
      }
    })
  })
  app.server.on('connect', ({ url }: IncomingMessage, stream: Duplex) => {
    const session = openSession(stream)
    if (session) answerConnect(session, url)
  })
})

/** The session, if its client may still make requests; otherwise its input is discarded. */
function openSession (stream: Duplex): HttpSession | undefined {
  const session = sessionOf(stream)
  if (!session) stream.destroy()
  else if (session.isEnding) stream.resume()
  else return session
}

const protocols = ({ headers }: IncomingMessage) => (headers.upgrade ?? '').split(',').map((protocol) => protocol.trim().toLowerCase())

/** An upgrade in HTTP/1.0 is ignored (RFC 9110, section 7.8). */
function isWebSocket (request: IncomingMessage, paths: ReadonlySet<string>): boolean {
  const [path = ''] = originForm(request.url ?? '').split('?', 1)
  return request.method === 'GET' && request.httpVersion === '1.1' && protocols(request).includes('websocket') && paths.has(path)
}

/** ws accepts only the value `websocket`, and no empty list of subprotocols. */
function normalize ({ headers }: IncomingMessage): void {
  headers.upgrade = 'websocket'
  if (headers['sec-websocket-protocol']?.trim() === '') delete headers['sec-websocket-protocol']
}

/** The request's head without its upgrade: a server may ignore an upgrade that it does not offer (RFC 9110, section 7.8). */
function headWithoutUpgrade ({ method, url, httpVersion, rawHeaders }: IncomingMessage): Buffer {
  let head = `${method} ${url} HTTP/${httpVersion}\r\n`
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = [rawHeaders[i], rawHeaders[i + 1]]
    if (UPGRADE_OPTIONS.includes(name.toLowerCase())) continue
    const kept = name.toLowerCase() !== 'connection' ? value : value.split(',').filter((option) => !UPGRADE_OPTIONS.includes(option.trim().toLowerCase())).join(',')
    if (kept.trim() !== '' || value === '') head += `${name}: ${kept}\r\n`
  }
  return Buffer.from(`${head}\r\n`, 'latin1')
}
