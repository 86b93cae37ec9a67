/** The TCP runner: binds every TCP service and gives each of its clients a session. */
import fastifyPlugin from 'fastify-plugin'
import { formatAddress, network } from '../address.ts'
import type { Endpoint } from '../endpoint.ts'
import { Gate } from '../gate.ts'
import { Roster } from '../roster.ts'
import type { TcpService } from '../service.ts'
import { SHARE_MS, Turn } from '../turn.ts'
import { endpointsOf } from './endpoints-of.ts'
import { peerOf } from './peer.ts'
import { ReadMemory } from './read-memory.ts'
import { TcpPort } from './tcp-port.ts'
import { TcpSession, type TcpRunner } from './tcp-session.ts'
import type { TcpSocket } from './tcp-socket.ts'

/** How often the runner looks for connections that have been silent, have lived or have been without the client's FIN for too long. */
const SWEEP_MS = 1000
/** Four system calls each, 7 µs: of 4,000 that fall silent together they would hold the loop for 28 ms. Further ones wait for the next time. */
const KEEP_ALIVES_A_SWEEP = 200

export const tcp = fastifyPlugin<{ services: readonly TcpService[] }>(async function tcp (app, { services }) {
  const { config, connections } = app
  const ports: TcpPort[] = []
  const sessions = new Roster<TcpSession>()
  let keepAlives = 0
  let onEmpty = () => {}
  const runner: TcpRunner = {
    limits: config.tcp,
    readInto: app.readInto,
    memory: new ReadMemory(),
    turn: new Turn(0, { aloneMs: SHARE_MS, presence: app.presence }),
    presence: app.presence,
    mayKeepAlive: () => ++keepAlives <= KEEP_ALIVES_A_SWEEP,
    onClosed (session) {
      session.gate.leave(session.connection.network)
      sessions.delete(session)
      if (sessions.size === 0) onEmpty()
    }
  }

  function serve (service: TcpService, endpoint: Endpoint, gate: Gate): void {
    function onConnection (socket: TcpSocket): void {
      const peer = peerOf(socket)
      // Reset before we got to it: nobody is there to be served.
      if (!peer) {
        socket.destroy()
        return
      }
      const refusal = gate.refusal(network(peer.address))
      if (refusal) {
        socket.destroy()
        connections.refuse(endpoint, `TCP_${refusal}`, formatAddress(peer.address, peer.port))
        return
      }
      const connection = connections.open(endpoint, peer, socket)
      gate.enter(connection.network)
      const session = new TcpSession(socket, peer, connection, gate, runner)
      sessions.add(session)
      session.start(service)
    }
    // A failing accept() is told, and survived.
    const port = new TcpPort({
      onConnection,
      onListening: (server) => app.acceptHandles(server, onConnection),
      onError: (err) => connections.failed(endpoint, err, 'accept failed')
    })
    ports.push(port)
    app.addHook('onReady', () => endpoint.bind((wanted) => port.listen(config.host, wanted)))
  }

  for (const service of services) {
    const gate = new Gate(config.tcp)
    for (const endpoint of endpointsOf(service, config)) {
      app.endpoints.push(endpoint)
      if (endpoint.state !== 'off') serve(service, endpoint, gate)
    }
  }

  // One timer for all: with one more a connection, and listeners of its own, an idle one had 4.9 KB in place of 4.0.
  const sweep = setInterval(() => {
    const now = performance.now()
    keepAlives = 0
    for (const session of sessions) {
      if (session.sweep(now)) continue
      // The probe's own would leave a gap in its chart.
      if (session.connection.ageMs >= config.tcp.lifeMs && !app.loop.probePeers.has(session.connection.peer)) {
        session.connection.destroyFor('TCP_LIFE_MS', 'lived too long')
      }
    }
  }, Math.min(SWEEP_MS, config.tcp.lifeMs, config.tcp.idleMs, config.tcp.finMs)).unref()

  let closed: Promise<unknown> = Promise.resolve()
  app.addHook('preClose', async () => {
    closed = Promise.all(ports.map((port) => port.close()))
    for (const session of sessions) session.drain()
    // Not all of them are known to Node.js's servers.
    if (sessions.size > 0) closed = Promise.all([closed, new Promise<void>((resolve) => { onEmpty = resolve })])
  })
  app.addHook('onClose', async () => {
    await closed
    clearInterval(sweep)
  })
})
