/** The TCP runner: binds every TCP service and gives each of its clients a session. */
import { createServer, type Server, type Socket } from 'node:net'
import fastifyPlugin from 'fastify-plugin'
import type { Endpoint } from '../endpoint.ts'
import type { TcpService } from '../service.ts'
import { endpointsOf } from './endpoints-of.ts'
import { capConnections, close, listen } from './net-server.ts'
import { peerOf } from './peer.ts'
import { TcpSession } from './tcp-session.ts'

export const tcp = fastifyPlugin<{ services: readonly TcpService[] }>(async function tcp (app, { services }) {
  const { config, connections } = app
  const servers: Server[] = []
  const sessions = new Set<TcpSession>()

  function serve (service: TcpService, endpoint: Endpoint): void {
    // allowHalfOpen: a client that sent its FIN still gets its answer (RFC 9293, section 3.6).
    const server = createServer({ allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 30_000 })
    capConnections(server, config.tcp.maxConnections, (peer) => connections.refuse(endpoint, 'TCP_MAX_CONNECTIONS', peer))
    server.on('connection', (socket: Socket) => {
      const peer = peerOf(socket)
      // Reset before we got to it: nobody is there to be served.
      if (!peer) {
        socket.destroy()
        return
      }
      const connection = connections.open(endpoint, peer, () => socket.destroy())
      const session = new TcpSession(socket, peer, connection, config.tcp)
      sessions.add(session)
      socket.once('close', () => sessions.delete(session))
      session.start(service)
    })
    servers.push(server)
    app.addHook('onReady', () => endpoint.bind(async (port) => {
      const bound = await listen(server, config.host, port)
      // After the bind a failing accept() is this server's only error: told, and survived.
      server.on('error', (err) => app.log.error({ err, service: service.name }, 'accept failed'))
      return bound
    }))
  }

  for (const service of services) {
    for (const endpoint of endpointsOf(service, config)) {
      app.endpoints.push(endpoint)
      if (endpoint.state !== 'off') serve(service, endpoint)
    }
  }

  let closed: Promise<unknown> = Promise.resolve()
  app.addHook('preClose', async () => {
    closed = Promise.all(servers.map(close))
    for (const session of sessions) session.drain()
  })
  app.addHook('onClose', async () => { await closed })
})
