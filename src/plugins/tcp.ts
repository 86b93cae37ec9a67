/** The TCP runner: opens every TCP service and gives each of its clients a session. */
import fastifyPlugin from 'fastify-plugin'
import type { TcpService } from '../service.ts'
import { Gate } from '../traffic/gate.ts'
import type { Step } from '../wire/index.ts'
import { listen } from '../wire/listen.ts'
import { TcpSession } from './tcp-session.ts'

export const tcp = fastifyPlugin<{ services: readonly TcpService[], steps: readonly Step[] }>(async function tcp (app, { services, steps }) {
  const { config, connections } = app
  for (const service of services) {
    const gate = new Gate(config.tcp)
    for (const endpoint of app.ports.endpointsOf(service)) {
      app.endpoints.push(endpoint)
      app.ports.add(endpoint, listen({
        endpoint,
        gate,
        limits: 'TCP',
        connections,
        steps,
        onClient (client) {
          // TCP_LIFE_MS does not end the probe's connection: that would leave a gap in the chart.
          const isProbe = (peer: string) => app.loop.probePeers.has(peer)
          new TcpSession(client, endpoint, connections, config.tcp, isProbe).start(service)
        }
      }))
    }
  }
})
