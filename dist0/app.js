/** The plain list of everything that runs. */
import fastify, { LogController } from 'fastify';
import { answerBrokenRequest } from "./plugins/broken-request.js";
import { core } from "./plugins/core.js";
import { errors } from "./plugins/errors.js";
import { http } from "./plugins/http.js";
import { httpLimits } from "./plugins/http-limits.js";
import { loop } from "./plugins/loop.js";
import { pressure } from "./plugins/pressure.js";
import { reading } from "./plugins/read-into.js";
import { tcp } from "./plugins/tcp.js";
import { udp } from "./plugins/udp.js";
import { web } from "./plugins/web.js";
import { websocket } from "./plugins/websocket.js";
import { assets } from "./routes/assets.js";
import { health } from "./routes/health.js";
import { lab } from "./routes/lab.js";
import { metrics } from "./routes/metrics.js";
import { page } from "./routes/page.js";
import { services } from "./routes/services.js";
import { wsEcho } from "./routes/ws-echo.js";
import { wsFeed } from "./routes/ws-feed.js";
import { wsLoop } from "./routes/ws-loop.js";
import { wsTime } from "./routes/ws-time.js";
import { RequestLog } from "./request-log.js";
import { rawServices } from "./sockets/index.js";
/** How often HTTP looks for requests that take too long. */
const CHECK_MS = 1000;
/** Of a URL that cannot be decoded: such a request would go past every hook, the limits' and the log's among them. */
const BROKEN_URL = '/%EF%BF%BD';
/** Builds the app; nothing opens before its `ready()`. The app binds every endpoint itself: `listen()` is not for it. */
export async function buildApp(config, logger, raw = rawServices) {
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
    });
    await app.register(core, { config });
    // Before every route, so that it knows each one's methods.
    await app.register(errors);
    await app.register(web);
    await app.register(loop);
    await app.register(pressure);
    await app.register(reading);
    await app.register(http);
    await app.register(httpLimits);
    await app.register(websocket, {
        services: [wsEcho, wsTime(), wsFeed(app.feed, app.loop.probePeers), wsLoop(app.loop, app.endpoints)]
    });
    await app.register(tcp, { services: raw.filter((service) => service.transport === 'tcp') });
    await app.register(udp, { services: raw.filter((service) => service.transport === 'udp') });
    await app.register(page);
    await app.register(assets);
    await app.register(health);
    await app.register(services);
    await app.register(metrics);
    if (config.lab)
        await app.register(lab);
    return app;
}
function isDecodable(url) {
    if (!url.includes('%'))
        return true;
    try {
        // The router decodes no more than the path.
        decodeURI(url.split('?', 1)[0] ?? '');
        return true;
    }
    catch {
        return false;
    }
}
