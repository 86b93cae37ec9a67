/** What every runner shares: the settings, the endpoints, the open connections, the feed, and the drain's deadline. */
import fastifyPlugin from 'fastify-plugin'
import type { Config } from '../config.ts'
import { Connections } from '../connections.ts'
import type { Endpoint } from '../endpoint.ts'
import { Feed } from '../feed.ts'
import { Rates } from '../rates.ts'
import { SampledLog } from '../sampled-log.ts'
import { Presence } from '../turn.ts'

declare module 'fastify' {
  interface FastifyInstance {
    config: Config
    feed: Feed
    connections: Connections
    presence: Presence
    /** Every endpoint, in the order of the page's table. */
    endpoints: Endpoint[]
    /** False until every endpoint was bound, skipped or switched off, and from the first moment of a drain. */
    isReady: () => boolean
  }
}

/** Of DRAIN_MS, the end: for closing what was cut off, and for writing the last of the log, on a busy machine too. */
const reserveMs = (drainMs: number): number => Math.max(400, drainMs / 5)

export const core = fastifyPlugin<{ config: Config }>(async function core (app, { config }) {
  const feed = new Feed((err) => app.log.error({ err }, 'a listener of the feed failed'))
  const connections = new Connections(new SampledLog(app.log, new Rates(config.logRate, config.maxAddresses)), feed)
  const endpoints: Endpoint[] = []
  let deadline: NodeJS.Timeout | undefined

  app.decorate('config', config)
  app.decorate('feed', feed)
  app.decorate('connections', connections)
  app.decorate('presence', new Presence())
  app.decorate('endpoints', endpoints)
  app.decorate('isReady', () => endpoints.every(({ state }) => state === 'open' || state === 'off' || state === 'busy'))

  // Registered first, so that the app is unready before any runner begins to close.
  app.addHook('preClose', async () => {
    for (const endpoint of endpoints) if (endpoint.state === 'open') endpoint.state = 'draining'
    deadline = setTimeout(() => connections.destroyAll(), config.drainMs - reserveMs(config.drainMs))
  })
  // Fastify runs onClose hooks last registered first: every runner has closed by now.
  app.addHook('onClose', async () => {
    // A server is closed a moment before its last socket says so.
    await connections.drained()
    clearTimeout(deadline)
    for (const endpoint of endpoints) if (endpoint.state === 'draining') endpoint.state = 'closed'
  })
})
