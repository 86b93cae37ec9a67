/** The plain list of everything that runs. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Config } from './config/config.ts'
import { RequestLog } from './log/request-log.ts'
import { core, serving } from './plugins/core.ts'
import { errors } from './plugins/errors.ts'
import { sessionOf } from './plugins/http-session.ts'
import { httpLimits } from './plugins/http-limits.ts'
import { http } from './plugins/http.ts'
import { loop } from './plugins/loop.ts'
import { pressure } from './plugins/pressure.ts'
import { answerBrokenRequest } from './plugins/raw-answer.ts'
import { rewriteUrl } from './shared/request-target.ts'
import { tcp } from './plugins/tcp.ts'
import { udp } from './plugins/udp.ts'
import { upgrade } from './plugins/upgrade.ts'
import { web } from './plugins/web.ts'
import { websocket } from './plugins/websocket.ts'
import { assets } from './routes/assets.ts'
import { health } from './routes/health.ts'
import { lab } from './routes/lab.ts'
import { metrics } from './routes/metrics.ts'
import { page } from './routes/page.ts'
import { services as servicesRoute } from './routes/services.ts'
import { wsEcho } from './routes/ws-echo.ts'
import { wsFeed } from './routes/ws-feed.ts'
import { wsLoop } from './routes/ws-loop.ts'
import { wsTime } from './routes/ws-time.ts'
import type { RawService, TcpService, UdpService } from './service.ts'
import { rawServices } from './sockets/index.ts'
import { steps as wireSteps, type Step } from './wire/index.ts'

/** How often Node.js checks for requests that take too long. */
const CHECK_MS = 1000

export type App = FastifyInstance

export interface Parts {
  readonly services?: readonly RawService[]
  readonly steps?: readonly Step[]
}

/** Builds the app. Its `ready()` opens every port; never call `listen()`. */
export async function buildApp (config: Config, logger: FastifyBaseLogger, { services = rawServices, steps = wireSteps }: Parts = {}): Promise<App> {
  const app = fastify({
    loggerInstance: logger,
    // The http plugin writes one line for each request.
    logController: new LogController({ disableRequestLogging: true }),
    childLoggerFactory: (_logger, bindings, options, { socket }) => new RequestLog(() => (sessionOf(socket)?.connection.log ?? logger).child(bindings, options)),
    clientErrorHandler: answerBrokenRequest,
    rewriteUrl,
    // No answer has a schema, so Fastify's serializer compiler need not be loaded.
    schemaController: { compilersFactory: { buildSerializer: () => () => { throw new Error('answers have no schemas here') } } },
    // A draining app still answers, with `Connection: close`.
    return503OnClosing: false,
    // This timeout also applies to hooks, and the drain hook takes DRAIN_DELAY_MS.
    pluginTimeout: 0,
    bodyLimit: config.http.maxBodyBytes,
    requestTimeout: config.http.requestMs,
    maxRequestsPerSocket: config.http.maxRequests,
    http: {
      headersTimeout: config.http.headersMs,
      connectionsCheckingInterval: CHECK_MS,
      maxHeaderSize: config.http.maxHeaderBytes,
      // http-limits answers a request without a Host header.
      requireHostHeader: false
    }
  }) as unknown as App

  await app.register(core, { config })
  await app.register(loop)
  await app.register(pressure)
  await app.register(http, { steps })
  await app.register(httpLimits)
  await app.register(web)
  // Before every route: it collects the methods of each.
  await app.register(errors)
  await app.register(upgrade)
  await app.register(websocket, {
    services: [wsEcho, wsTime(), wsFeed(app.feed, app.loop.probePeers), wsLoop(app.loop, app)]
  })
  await app.register(tcp, { services: services.filter((service): service is TcpService => service.transport === 'tcp'), steps })
  await app.register(udp, { services: services.filter((service): service is UdpService => service.transport === 'udp') })
  await app.register(serving)

  await app.register(page)
  await app.register(assets)
  await app.register(health)
  await app.register(servicesRoute)
  await app.register(metrics)
  if (config.lab) await app.register(lab)
  return app
}
