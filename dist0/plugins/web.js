/** What every HTTP answer has: security headers; and what the page is made of: templates. */
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import fastifyView from '@fastify/view';
import { Eta } from 'eta';
import fastifyPlugin from 'fastify-plugin';
import helmet, {} from 'helmet';
import { prepare, sendAtOnce, works } from "./one-write.js";
// From src/plugins and from dist/plugins alike.
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
export const HELMET = {
    contentSecurityPolicy: {
        useDefaults: false,
        directives: {
            'default-src': ["'none'"],
            'script-src': ["'self'"],
            'style-src': ["'self'"],
            'img-src': ["'self'"],
            'connect-src': ["'self'"],
            'base-uri': ["'none'"],
            'form-action': ["'none'"],
            'frame-ancestors': ["'none'"]
        }
    },
    // These three mean something on HTTPS only; over HTTP a browser ignores them, with a warning in its console.
    strictTransportSecurity: false,
    crossOriginOpenerPolicy: false,
    originAgentCluster: false
};
export const web = fastifyPlugin(async function web(app) {
    const headers = helmetHeaders();
    // As an answer is sent, not as its request comes in: a prepared one has them in its text.
    app.addHook('onSend', (_request, reply, _payload, done) => {
        reply.headers(headers);
        done();
    });
    const isAble = works(sendAtOnce);
    if (!isAble)
        app.log.warn('this Node.js has no way to send an answer with one write: short ones cost more');
    app.decorate('prepare', (own, body) => {
        const bytes = Buffer.from(body);
        const prepared = isAble ? prepare({ ...headers, ...own }, bytes) : undefined;
        const all = Object.entries({ ...headers, ...own, 'content-length': String(bytes.length) }).flat();
        return (reply, statusCode = 200) => {
            const { raw } = reply.hijack();
            if (prepared && sendAtOnce(raw, statusCode, prepared))
                return;
            raw.writeHead(statusCode, all);
            raw.end(bytes);
        };
    });
    // Compiled once, but for who works on them: compiling was half of what the page cost.
    const production = process.env.NODE_ENV !== 'development';
    await app.register(fastifyView, { production, engine: { eta: new Eta() }, root: `${ROOT}web/templates`, viewExt: 'eta' });
});
/** Asked once: helmet works them out anew for every request, and sets them one by one, which cost a third of an answer. */
function helmetHeaders() {
    const request = new IncomingMessage(new Socket());
    const response = new ServerResponse(request);
    helmet(HELMET)(request, response, (error) => { if (error)
        throw error; });
    return Object.fromEntries(response.getHeaderNames().map((name) => [name, String(response.getHeader(name))]));
}
