/** Asks every service that a server says it has, and says how each one answered. */
import { setTimeout as delay } from 'node:timers/promises';
import { ClientError } from "./client-error.js";
import { get } from "./http.js";
import * as tcp from "./tcp.js";
import { sendDatagram } from "./udp.js";
import * as websocket from "./websocket.js";
/** What the server says it serves. Rejects with a ClientError. */
export async function listServices(target, timeoutMs) {
    const { status, body } = await get(target, '/api/services', timeoutMs);
    const rows = status === 200 ? parse(body) : undefined;
    if (!Array.isArray(rows))
        throw new ClientError('ERR_NOT_ONELOOP', `what answers on ${target.host}:${target.port} is not oneloop: GET /api/services gave ${status}`);
    return rows;
}
/** Checks one listed service after the other, so that no round trip waits for another. */
export async function check(host, listed, known, { timeoutMs, http }) {
    const results = [];
    for (const row of listed)
        results.push(await checkOne(host, row, known, timeoutMs, http));
    return results;
}
async function checkOne(host, row, known, timeoutMs, http) {
    const { name, transport, port, state } = row;
    const about = { name, transport, port };
    if (state === 'off')
        return { ...about, result: 'off' };
    if (state === 'busy')
        return { ...about, result: 'skipped', message: 'its default port is in use by another program' };
    if (port === null)
        return { ...about, result: 'failed', message: `its state is ${state}` };
    if (port === 0)
        return { ...about, result: 'unknown', message: 'only its log knows which free port it took' };
    const target = { host, port };
    const started = performance.now();
    try {
        if (transport === 'http')
            await checkHttp(target, timeoutMs);
        else {
            const service = known.find((one) => one.name === name && one.transport === transport);
            if (!service)
                return { ...about, result: 'unknown', message: 'this version of oneloop does not know it' };
            if (service.example.answer)
                expect(service.example, await answerOf(row, target, service.example, timeoutMs));
            else
                await checkListener(target, service.example, timeoutMs, http, row);
        }
        return { ...about, result: 'ok', ms: Number((performance.now() - started).toFixed(3)) };
    }
    catch (error) {
        return { ...about, result: 'failed', message: error.message };
    }
}
async function answerOf({ transport, path }, target, { send }, timeoutMs) {
    const message = send === undefined ? undefined : Buffer.from(send);
    switch (transport) {
        case 'tcp': return await tcp.ask(target, { send: message, timeoutMs });
        case 'websocket': return (await websocket.ask({ ...target, path: path ?? '/' }, send, { timeoutMs })).data;
        default: return await sendDatagram(target, message ?? Buffer.alloc(0), { timeoutMs });
    }
}
function expect({ answer }, got) {
    if (!answer?.test(String(got)))
        throw new ClientError('ERR_ANSWER', `a wrong answer: ${JSON.stringify(String(got).slice(0, 100))}`);
}
async function checkHttp(target, timeoutMs) {
    const { status } = await get(target, '/healthz', timeoutMs);
    if (status !== 200)
        throw new ClientError('ERR_ANSWER', `/healthz answered ${status}`);
}
/** How often a server is asked for its counts: less often than its HTTP_RATE allows. */
const POLL_MS = 50;
/** A service that never answers has heard us when its own count says so; without HTTP all we learn is that its port is not closed. */
async function checkListener(target, { send = '' }, timeoutMs, http, row) {
    const deliver = () => sendDatagram(target, Buffer.from(send), { timeoutMs, isAnswered: false });
    if (!http) {
        await deliver();
        return;
    }
    const heard = async () => (await listServices(http, timeoutMs)).find((one) => one.name === row.name && one.port === row.port)?.total ?? 0;
    const before = await heard();
    await deliver();
    const deadline = performance.now() + timeoutMs;
    while (await heard() <= before) {
        if (performance.now() > deadline)
            throw new ClientError('ETIMEDOUT', 'the server did not count the datagram');
        await delay(POLL_MS);
    }
}
function parse(body) {
    try {
        return JSON.parse(body);
    }
    catch {
        return undefined;
    }
}
