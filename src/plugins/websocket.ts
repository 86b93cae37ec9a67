/** The WebSocket runner: gives every WebSocket service a route, and each client a session. */
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import fastifyPlugin from 'fastify-plugin'
import type { WebSocketService } from '../service.ts'
import { formatAddress, network } from '../shared/address.ts'
import { inPieces } from '../shared/in-pieces.ts'
import { Endpoint } from '../traffic/endpoint.ts'
import { Gate } from '../traffic/gate.ts'
import { LimitError } from '../traffic/limit-error.ts'
import { isAllowedOrigin, OriginError } from '../traffic/origin.ts'
import { checkHandshake, UpgradeRequiredError } from './handshake.ts'
import { sessionOf } from './http-session.ts'
import { WebSocketSession, webSocketSessionOf } from './websocket-session.ts'

const TRY_AGAIN_LATER = 1013
const RETRY_MS = 1000
/** Pieces in which a message may arrive: twice what 1 MiB in pieces of 64 bytes needs. */
const MAX_PIECES = 32_768
/** Pings in one turn of the loop: many thousands at once would block it. */
const PINGS_AT_ONCE = 16

export const websocket = fastifyPlugin<{ services: readonly WebSocketService[] }>(async function websocket (app, { services }) {
  const { config, connections } = app
  const limits = config.websocket
  const gate = new Gate(limits)

  // The types of ws 8.23 lack the last four.
  const options: WebsocketPluginOptions['options'] & Record<'closeTimeout' | 'maxFragments' | 'maxBufferedChunks' | 'maxPendingAutoPongs', number> = {
    server: app.upgrades,
    // Compression costs memory for each connection, and allows compression bombs.
    perMessageDeflate: false,
    maxPayload: limits.maxMessageBytes,
    closeTimeout: limits.closeMs,
    maxFragments: limits.maxFragments,
    maxBufferedChunks: MAX_PIECES,
    // WS_RATE and WS_MAX_UNSENT_BYTES bound them.
    maxPendingAutoPongs: 0
  }
  await app.register(fastifyWebsocket, {
    options,
    preClose (done) {
      clearInterval(heartbeat)
      app.websocketServer.close()
      done()
    }
  })

  // setImmediate runs after the reads of this turn: if the process was stopped for longer than a beat, pongs are waiting unread.
  const { clients } = app.websocketServer
  const beat = () => { inPieces(clients, PINGS_AT_ONCE, (socket) => webSocketSessionOf(socket)?.ping()) }
  const heartbeat = setInterval(() => setImmediate(beat), limits.pingMs).unref()

  app.pressure.onMemoryShort = () => { for (const socket of clients) webSocketSessionOf(socket)?.onMemoryShort() }

  const http = app.endpoints.find(({ transport }) => transport === 'http')
  if (!http) throw new Error('the websocket plugin goes after the http plugin')

  for (const service of services) {
    const endpoint = new Endpoint(service, http.location)
    app.endpoints.push(endpoint)
    app.webSocketPaths.add(service.path)
    app.route({
      method: 'GET',
      url: service.path,
      onRequest ({ headers, raw, ws }, _reply, done) {
        if (service.isForOwnPage && !isAllowedOrigin(headers, config.origins)) return done(new OriginError(headers.origin))
        const connection = ws ? sessionOf(raw.socket)?.connection : undefined
        if (!connection) return done()
        const refusal = gate.refusal(connection.network)
        const error = refusal ? new LimitError(503, `WS_${refusal}`, 'too many WebSockets are open', RETRY_MS) : checkHandshake(headers)
        if (error) connections.refuse(endpoint, error instanceof LimitError ? error.limit : error.code, connection.peer)
        done(error)
      },
      handler (request) {
        throw new UpgradeRequiredError(service.path, request.raw)
      },
      wsHandler (socket, request) {
        // Replaces the plugin's listener, which keeps the request as long as the WebSocket lives. ws has already sent the close
        // code for a protocol error (RFC 6455, section 7.4.1); the session only records it.
        socket.removeAllListeners('error').on('error', () => {})
        const http = sessionOf(request.raw.socket)
        if (!http) return socket.terminate()
        const { peer } = http
        const refusal = gate.enter(network(peer.address))
        if (refusal) {
          // Another upgrade took the last place meanwhile. The client keeps its place at HTTP's gate until it is gone.
          connections.refuse(endpoint, `WS_${refusal}`, formatAddress(peer.address, peer.port))
          return socket.close(TRY_AGAIN_LATER, `WS_${refusal}`)
        }
        const onClosed = () => gate.leave(network(peer.address))
        new WebSocketSession({ socket, raw: request.raw.socket, peer, endpoint, id: http.upgrade(), onClosed }, connections, limits).start(service)
      }
    })
  }
})
