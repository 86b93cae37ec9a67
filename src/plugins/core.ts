/** Shared by every runner: settings, ports, open connections, the feed, and the beginning and end of a drain. */
import { setTimeout as delay } from 'node:timers/promises'
import fastifyPlugin from 'fastify-plugin'
import type { Config } from '../config/config.ts'
import { SampledLog } from '../log/sampled-log.ts'
import { Connections } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { Feed } from '../traffic/feed.ts'
import { Rates } from '../traffic/rates.ts'
import { Ports } from '../wire/ports.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    feed: Feed
    connections: Connections
    ports: Ports
    /** Every endpoint, in the order of the page's table. */
    endpoints: Endpoint[]
    /** False until every endpoint is bound, skipped or off, and again as soon as a drain begins. */
    isReady: () => boolean
  }
}

/** Longest time between two sweeps over all connections. */
const SWEEP_MS = 1000
/** The last part of DRAIN_MS, reserved for closing destroyed connections and writing the rest of the log. */
const reserveMs = (drainMs: number): number => Math.max(400, drainMs / 5)

export const core = fastifyPlugin<{ config: Config }>(async function core (app, { config }) {
  const feed = new Feed((err) => app.log.error({ err }, 'a listener of the feed failed'))
  const { http, tcp } = config
  const sweepMs = Math.min(SWEEP_MS, http.idleMs, http.keepAliveMs, tcp.idleMs, tcp.lifeMs, tcp.finMs)
  const connections = new Connections(new SampledLog(app.log, new Rates(config.logRate, config.maxAddresses)), feed, sweepMs)
  const endpoints: Endpoint[] = []
  let deadline: NodeJS.Timeout | undefined

  app.decorate('config', config)
  app.decorate('feed', feed)
  app.decorate('connections', connections)
  app.decorate('ports', new Ports(config, app.log))
  app.decorate('endpoints', endpoints)
  app.decorate('isReady', () => endpoints.every(({ state }) => state === 'open' || state === 'off' || state === 'busy'))

  // Registered first: the app is unready for DRAIN_DELAY_MS before anything closes.
  app.addHook('preClose', async () => {
    for (const { location } of endpoints) if (location.state === 'open') location.state = 'draining'
    const graceMs = config.drainMs - reserveMs(config.drainMs)
    deadline = setTimeout(() => connections.destroyAll(), graceMs)
    await delay(Math.min(config.drainDelayMs, graceMs))
  })
  // Fastify runs onClose hooks in reverse order, so every runner has closed by now.
  app.addHook('onClose', async () => {
    await app.ports.close()
    await connections.drained()
    clearTimeout(deadline)
    for (const { location } of endpoints) if (location.state === 'draining') location.state = 'closed'
  })
})

/** Opens the ports when the app is ready, and drains the connections when it closes. Registered after everything that uses them. */
export const serving = fastifyPlugin(async function serving (app) {
  app.addHook('onReady', () => app.ports.open())
  app.addHook('preClose', async () => {
    await app.ports.close()
    app.connections.drain()
  })
})
