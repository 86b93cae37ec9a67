/** The WebSocket runner: gives every WebSocket service its route, and each of its clients a session. */
import { EventEmitter } from 'node:events'
import { ServerResponse, type IncomingMessage, type Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import fastifyWebsocket, { type WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import fastifyPlugin from 'fastify-plugin'
import type { WebSocket } from 'ws'
import { formatAddress, network } from '../address.ts'
import type { Endpoint } from '../endpoint.ts'
import { Gate } from '../gate.ts'
import { LimitError } from '../limit-error.ts'
import { isAllowedOrigin, OriginError } from '../origin.ts'
import { Roster } from '../roster.ts'
import type { WebSocketService } from '../service.ts'
import { ALONE_MS, SHARE_MS, Turn } from '../turn.ts'
import { AnswerBatch } from './answer-batch.ts'
import { endpointsOf } from './endpoints-of.ts'
import { FrameMemory } from './frame-memory.ts'
import { Heartbeat } from './heartbeat.ts'
import { peerOf } from './peer.ts'
import { readPlainly } from './read-into.ts'
import { WebSocketReader, type WebSocketReading } from './websocket-reader.ts'
import { WebSocketSession, type WebSocketRunner } from './websocket-session.ts'
import { WebSocketWriter } from './websocket-writer.ts'
import { worksWith } from './ws-trial.ts'

const GOING_AWAY = 1001
const TRY_AGAIN_LATER = 1013
const RETRY_MS = 1000
/** Pieces that a message's bytes may arrive in: 1 MiB in pieces of 64 bytes needs half of it. */
const MAX_PIECES = 32_768
const READ_BYTES = 65_536
const NO_HEAD = Buffer.alloc(0)

export const websocket = fastifyPlugin<{ services: readonly WebSocketService[] }>(async function websocket (app, { services }) {
  const { config, connections } = app
  const sessions = new Roster<WebSocketSession>()
  const gate = new Gate(config.websocket)
  const turn = new Turn(SHARE_MS, { aloneMs: ALONE_MS, presence: app.presence })
  const reading: WebSocketReading = {
    turn,
    memory: Buffer.allocUnsafeSlow(READ_BYTES),
    frames: new FrameMemory(),
    maxMessageBytes: config.websocket.maxMessageBytes
  }
  const batch = new AnswerBatch(turn)
  const runner: WebSocketRunner = {
    limits: config.websocket,
    onClosed (session) {
      gate.leave(session.connection.network)
      sessions.delete(session)
    }
  }
  // The plugin takes every upgrade that it hears of, on any path and to any protocol: it hears of ours alone.
  const upgrades = new EventEmitter() as Server
  const paths = new Set(services.map(({ path }) => path))
  const handedOver = new WeakSet<Duplex>()
  /** Of handshakes. */
  const responses = new WeakMap<IncomingMessage, ServerResponse>()
  app.server.on('upgrade', (request, socket) => {
    handedOver.add(socket)
    const response = new ServerResponse(request)
    try {
      response.assignSocket(socket as Socket)
    } catch {
      // Pipelined behind a request that is still being answered.
      socket.destroy()
      return
    }
    if (isWebSocket(request) && paths.has(request.url?.split('?', 1)[0] ?? '')) {
      response.detachSocket(socket as Socket)
      // What came behind it is with the http plugin.
      upgrades.emit('upgrade', request, socket, NO_HEAD)
    } else {
      ignoreUpgrade(app, request, response, socket as Socket)
    }
  })

  // Node has taken its parser, its listeners and its timeouts off such a socket: one that was answered as HTTP is ended here or never.
  app.addHook('onResponse', ({ raw }, _reply, done) => {
    if (handedOver.has(raw.socket)) raw.socket.destroySoon()
    done()
  })

  // ws 8.23 has these; its types do not know the last four yet.
  const options: WebsocketPluginOptions['options'] & Record<'closeTimeout' | 'maxFragments' | 'maxBufferedChunks' | 'maxPendingAutoPongs', number> = {
    server: upgrades,
    // A window costs memory a connection, and inflating is what a compression bomb waits for.
    perMessageDeflate: false,
    maxPayload: config.websocket.maxMessageBytes,
    closeTimeout: config.websocket.closeMs,
    maxFragments: config.websocket.maxFragments,
    maxBufferedChunks: MAX_PIECES,
    maxPendingAutoPongs: config.websocket.maxPongs
  }
  await app.register(fastifyWebsocket, {
    options,
    preClose (done) {
      clearInterval(heartbeat)
      for (const session of sessions) session.close(GOING_AWAY, 'server draining')
      app.websocketServer.close()
      done()
    }
  })

  const isAble = worksWith(app.websocketServer)
  if (!isAble) app.log.warn('this ws works in another way: WebSocket messages cost more')
  const readInto = isAble ? app.readInto : readPlainly(app.readInto)

  // After the reads of this turn, and what they let wait: where the process was stopped for longer than a beat, the pongs are there, but unread.
  const beat = () => {
    turn.wait(new Heartbeat(turn, sessions))
    reading.frames.trim()
  }
  const heartbeat = setInterval(() => setImmediate(beat), config.websocket.pingMs).unref()

  app.pressure.onMemoryShort = () => {
    reading.frames.clear()
    for (const session of sessions) session.onMemoryShort()
  }

  const http = app.endpoints.find(({ transport }) => transport === 'http')
  if (!http) throw new Error('the websocket plugin goes after the http plugin')

  for (const service of services) {
    const [endpoint] = endpointsOf(service, config, config.ports.http) as [Endpoint]
    app.endpoints.push(endpoint)
    // It lives on HTTP's port.
    app.addHook('onReady', async () => {
      endpoint.port = http.port
      endpoint.state = http.state
    })
    app.route({
      method: 'GET',
      url: service.path,
      async onRequest ({ headers, raw, ws }, reply) {
        if (ws) responses.set(raw, reply.raw)
        if (service.isForOwnPage && !isAllowedOrigin(headers, config.origins)) throw new OriginError(headers.origin)
        const peer = ws ? peerOf(raw.socket) : undefined
        const refusal = peer && gate.refusal(network(peer.address))
        if (!refusal) return
        connections.refuse(endpoint, `WS_${refusal}`, formatAddress(peer.address, peer.port))
        throw new LimitError(503, `WS_${refusal}`, 'too many WebSockets are open', RETRY_MS)
      },
      handler (_request, reply) {
        reply.header('upgrade', 'websocket')
        throw new UpgradeRequiredError(service.path)
      },
      wsHandler (socket, request) {
        const { socket: raw } = request.raw
        forgetRequest(socket, raw, responses.get(request.raw))
        const peer = peerOf(raw)
        const before = app.upgradeConnection(raw)
        if (!peer) return socket.terminate()
        const refusal = gate.refusal(network(peer.address))
        if (refusal) {
          // The last place was taken while this request was on its way here.
          connections.refuse(endpoint, `WS_${refusal}`, formatAddress(peer.address, peer.port))
          return socket.close(TRY_AGAIN_LATER, `WS_${refusal}`)
        }
        const writer = new WebSocketWriter(socket, raw, batch, reading.memory)
        const reader = new WebSocketReader(socket, raw, writer, reading)
        const connection = connections.open(endpoint, peer, writer, before?.id)
        const session = new WebSocketSession(socket, raw, reader, writer, peer, connection, runner)
        gate.enter(connection.network)
        sessions.add(session)
        session.start(service)
        reader.start(readInto, before?.early ?? NO_HEAD, session)
      }
    })
  }
})

/**
 * Lets go of the handshake's request and its answer, which the plugin and Node.js keep as long as the WebSocket lives, by a
 * listener and by the socket: 4 KB of the 14 KB that an idle one cost. What ws has found broken it has answered with its close code
 * already (RFC 6455, section 7.4.1): the session only notes it.
 */
function forgetRequest (socket: WebSocket, raw: Socket, response: ServerResponse | undefined): void {
  socket.removeAllListeners('error').on('error', () => {})
  try {
    response?.detachSocket(raw)
  } catch {
    // This Node.js keeps it in another way, and its memory.
  }
}

/** A server may ignore an upgrade that it does not offer (RFC 9110, section 7.8): the request is answered as any other, and the connection ends. */
function ignoreUpgrade (app: FastifyInstance, request: IncomingMessage, response: ServerResponse, socket: Socket): void {
  // Node took its own listener off the socket with the upgrade.
  socket.on('error', () => socket.destroy())
  response.shouldKeepAlive = false
  app.routing(request, response)
}

/** An upgrade in HTTP/1.0 is ignored (RFC 9110, section 7.8). */
function isWebSocket ({ headers, httpVersion }: IncomingMessage): boolean {
  return httpVersion === '1.1' && headers.upgrade?.toLowerCase() === 'websocket'
}

class UpgradeRequiredError extends Error {
  readonly code = 'ERR_UPGRADE_REQUIRED'
  readonly statusCode = 426

  constructor (path: string) {
    super(`${path} is a WebSocket: connect to it with a WebSocket client`)
  }
}
