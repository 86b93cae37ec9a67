/** The plain list of everything that runs. */
import fastify, { LogController, type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import type { Config } from './config.ts'
import { accepting } from './plugins/accept-handles.ts'
import { acceptingLazily } from './plugins/accept-lazily.ts'
import { answerBrokenRequest } from './plugins/broken-request.ts'
import { core } from './plugins/core.ts'
import { errors } from './plugins/errors.ts'
import { handles } from './plugins/handle.ts'
import { http } from './plugins/http.ts'
import { httpLimits } from './plugins/http-limits.ts'
import { loop } from './plugins/loop.ts'
import { pressure } from './plugins/pressure.ts'
import { reading } from './plugins/read-into.ts'
import { tcp } from './plugins/tcp.ts'
import { udp } from './plugins/udp.ts'
import { parsing } from './plugins/watch-parser.ts'
import { web } from './plugins/web.ts'
import { websocket } from './plugins/websocket.ts'
import { assets } from './routes/assets.ts'
import { health } from './routes/health.ts'
import { lab } from './routes/lab.ts'
import { metrics } from './routes/metrics.ts'
import { page } from './routes/page.ts'
import { services } from './routes/services.ts'
import { wsEcho } from './routes/ws-echo.ts'
import { wsFeed } from './routes/ws-feed.ts'
import { wsLoop } from './routes/ws-loop.ts'
import { wsTime } from './routes/ws-time.ts'
import { RequestLog } from './request-log.ts'
import type { RawService, TcpService, UdpService } from './service.ts'
import { rawServices } from './sockets/index.ts'

/** How often HTTP looks for requests that take too long. */
const CHECK_MS = 1000
/** Of a URL that cannot be decoded: such a request would go past every hook, the limits' and the log's among them. */
const BROKEN_URL = '/%EF%BF%BD'

export type App = FastifyInstance

/** Builds the app; nothing opens before its `ready()`. The app binds every endpoint itself: `listen()` is not for it. */
export async function buildApp (config: Config, logger: FastifyBaseLogger, raw: readonly RawService[] = rawServices): Promise<App> {
  const app = fastify({
    loggerInstance: logger,
    // The http plugin writes one line a request.
    logController: new LogController({ disableRequestLogging: true }),
    clientErrorHandler: answerBrokenRequest,
    rewriteUrl: ({ url = '/' }) => isDecodable(url) ? url : BROKEN_URL,
    bodyLimit: config.http.maxBodyBytes,
    requestTimeout: config.http.requestMs,
    keepAliveTimeout: config.http.keepAliveMs,
    maxRequestsPerSocket: config.http.maxRequests,
    http: { headersTimeout: config.http.headersMs, connectionsCheckingInterval: CHECK_MS, maxHeaderSize: config.http.maxHeaderBytes },
    childLoggerFactory: (_logger, bindings, options, { socket }) => new RequestLog(() => app.connectionLog(socket).child(bindings, options))
  }) as unknown as App

  await app.register(core, { config })
  // Before every route, so that it knows each one's methods.
  await app.register(errors)
  await app.register(web)
  await app.register(loop)
  await app.register(pressure)
  await app.register(reading)
  await app.register(parsing)
  await app.register(handles)
  await app.register(accepting)
  await app.register(acceptingLazily)
  await app.register(http)
  await app.register(httpLimits)
  await app.register(websocket, {
    services: [wsEcho, wsTime(), wsFeed(app.feed, app.loop.probePeers), wsLoop(app.loop, app.endpoints)]
  })
  await app.register(tcp, { services: raw.filter((service): service is TcpService => service.transport === 'tcp') })
  await app.register(udp, { services: raw.filter((service): service is UdpService => service.transport === 'udp') })

  await app.register(page)
  await app.register(assets)
  await app.register(health)
  await app.register(services)
  await app.register(metrics)
  if (config.lab) await app.register(lab)
  return app
}

function isDecodable (url: string): boolean {
  if (!url.includes('%')) return true
  try {
    // The router decodes no more than the path.
    decodeURI(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}
