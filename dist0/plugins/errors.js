/** Errors on HTTP, in HTML or JSON as the client's Accept header asks: 404 and 405 for what is not there, the rest as thrown. */
import { STATUS_CODES } from 'node:http';
import fastifyAccepts from '@fastify/accepts';
import fastifyPlugin from 'fastify-plugin';
import { LimitError } from "../limit-error.js";
export const errors = fastifyPlugin(async function errors(app) {
    await app.register(fastifyAccepts);
    const methods = new Map();
    app.addHook('onRoute', ({ url, method }) => {
        const known = methods.get(url) ?? new Set();
        for (const one of [method].flat())
            known.add(one);
        methods.set(url, known);
    });
    function send(request, reply, statusCode, message, code) {
        const error = STATUS_CODES[statusCode] ?? 'Error';
        reply.code(statusCode).header('vary', 'accept');
        const body = { statusCode, error, ...(code !== undefined && { code }), message };
        return request.accepts().type(['json', 'html']) === 'html' ? reply.view('error', body) : reply.send(body);
    }
    app.setNotFoundHandler((request, reply) => {
        // app.ts gave a URL that cannot be decoded another path.
        if (request.url !== request.originalUrl)
            return send(request, reply, 400, 'The URL is not percent-encoded as it has to be', 'ERR_URL');
        const path = request.url.split('?', 1)[0] ?? '';
        const allowed = methods.get(path);
        if (!allowed)
            return send(request, reply, 404, `There is nothing at ${path}`, 'ERR_NOT_FOUND');
        const allow = [...allowed].sort().join(', ');
        reply.header('allow', allow);
        return send(request, reply, 405, `${path} takes ${allow}, not ${request.method}`, 'ERR_METHOD_NOT_ALLOWED');
    });
    app.setErrorHandler((error, request, reply) => {
        const statusCode = error.statusCode ?? 500;
        if (error.retryMs !== undefined)
            reply.header('retry-after', Math.ceil(error.retryMs / 1000));
        if (statusCode < 500 || error instanceof LimitError)
            return send(request, reply, statusCode, error.message, error.code);
        request.log.error({ err: error }, 'the route failed');
        return send(request, reply, statusCode, 'The server failed; its log says why', 'ERR_INTERNAL');
    });
});
