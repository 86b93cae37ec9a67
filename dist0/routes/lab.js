import Type, {} from 'typebox';
import { reachable } from "../address.js";
import { play } from "../clients/transcript.js";
import { MAX_LESSON_MS } from "../lab/lessons.js";
import { isAllowedOrigin, OriginError } from "../origin.js";
const DEFAULT_LESSON_MS = 500;
const MAX_RUNS = 4;
const RUN_MS = 3000;
const Lesson = Type.Object({
    ms: Type.Integer({ minimum: 1, maximum: MAX_LESSON_MS, default: DEFAULT_LESSON_MS, description: 'Milliseconds' })
}, { additionalProperties: false });
const Run = Type.Object({
    service: Type.String({ maxLength: 64 }),
    port: Type.Optional(Type.Integer({ description: 'Of a service on several ports' }))
}, { additionalProperties: false });
export async function lab(app) {
    let running = 0;
    async function sameOrigin({ headers }) {
        if (!isAllowedOrigin(headers, app.config.origins))
            throw new OriginError(headers.origin);
    }
    for (const kind of ['block', 'wait', 'worker']) {
        app.post(`/api/lab/${kind}`, {
            schema: { querystring: Lesson }, onRequest: sameOrigin
        }, async (request) => await app.loop.teach(kind, request.query.ms));
    }
    app.post('/api/lab/run', {
        schema: { querystring: Run }, onRequest: sameOrigin
    }, async (request) => {
        const { service, port } = request.query;
        const endpoint = app.endpoints.find((one) => one.name === service && one.state === 'open' && (port === undefined || one.port === port));
        if (!endpoint)
            throw new LabError(404, 'ERR_NO_SERVICE', `no service ${JSON.stringify(service)} is open${port === undefined ? '' : ` on port ${port}`}`);
        if (running === MAX_RUNS)
            throw new LabError(429, 'ERR_LAB_BUSY', `${MAX_RUNS} clients are running: try again in a moment`, RUN_MS);
        running++;
        try {
            return await play(endpoint, { host: reachable(endpoint.address), port: endpoint.port ?? 0 }, RUN_MS);
        }
        finally {
            running--;
        }
    });
}
class LabError extends Error {
    statusCode;
    code;
    retryMs;
    constructor(statusCode, code, message, retryMs) {
        super(message);
        this.retryMs = retryMs;
        this.statusCode = statusCode;
        this.code = code;
    }
}
