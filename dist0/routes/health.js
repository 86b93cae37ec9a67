const HEADERS = { 'content-type': 'application/json; charset=utf-8' };
export async function health(app) {
    const answer = (status) => app.prepare(HEADERS, JSON.stringify({ status }));
    const ok = answer('ok');
    const ready = answer('ready');
    const unready = answer('unready');
    app.get('/healthz', { config: { isVital: true } }, (_request, reply) => ok(reply));
    app.get('/readyz', { config: { isVital: true } }, (_request, reply) => app.isReady() ? ready(reply) : unready(reply, 503));
}
