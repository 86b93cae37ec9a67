/** Shutdown: DRAIN_DELAY_MS, and signals at any moment. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Readable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/tcp.ts'
import { ask as askWebSocket, connect as connectWebSocket } from '../src/clients/websocket.ts'
import { connect, FREE_PORTS, launch, readAll, serverFor, TIMEOUT_MS, until, serve } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
// Buffered tests mostly wait, so they run beside the others.
t.jobs = 2

t.test('for DRAIN_DELAY_MS it is unready but still accepts and serves, with `Connection: close`; then its listeners close', async (t) => {
  const { app, target } = await serverFor(t, { DRAIN_MS: '30000', DRAIN_DELAY_MS: '1500' })
  const socket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
  const closed = once(socket, 'close')
  const started = performance.now()
  const closing = app.close()
  await until(() => !app.isReady(), 'it is unready')
  const kept = await connect(target('http'))
  kept.write('GET /readyz HTTP/1.1\r\nHost: oneloop\r\n\r\n')
  const answer = String(await readAll(kept))
  t.match(answer, /^HTTP\/1\.1 503 [^]*\r\nconnection: close\r\n[^]*\r\n\r\n\{"status":"unready"\}$/i)
  t.match(answer, /\r\ncontent-security-policy: /i, 'an answer of ours')
  t.equal((await get(target('http'), '/api/services', TIMEOUT_MS)).status, 200, 'new requests')
  t.equal(String(await ask(target('echo'), { send: Buffer.from('abc'), ...options })), 'abc', 'new TCP clients')
  t.equal(String((await askWebSocket({ ...target('http'), path: '/ws/echo' }, 'abc', options)).data), 'abc', 'new WebSockets')
  const hello = await askWebSocket({ ...target('http'), path: '/ws/loop' }, '', options)
  t.match(JSON.parse(String(hello.data)), { type: 'hello', lanes: ['http', 'websocket', 'tcp', 'udp'] }, 'a page that comes now is that of this server')
  t.equal(socket.readyState, socket.OPEN, 'nobody is told to go yet')
  t.ok(performance.now() - started < 1500, 'all that within the delay')
  t.equal((await closed)[0], 1001)
  t.ok(performance.now() - started >= 1400, 'after the delay')
  await closing
  await t.rejects(ask(target('echo'), options), { code: 'ECONNREFUSED' })
})

t.test('a delay longer than Fastify\'s default plugin timeout works', { buffered: true }, async (t) => {
  const { app } = await serverFor(t, { DRAIN_MS: '20000', DRAIN_DELAY_MS: '10500' })
  const started = performance.now()
  await app.close()
  t.ok(performance.now() - started >= 10_400)
})

t.test('the delay is part of DRAIN_MS', async (t) => {
  const { app, target } = await serverFor(t, { DRAIN_MS: '2000', DRAIN_DELAY_MS: '60000' })
  const socket = await connect(target('echo'))
  const started = performance.now()
  await app.close()
  t.ok(performance.now() - started < 2000, `${performance.now() - started} ms`)
  socket.destroy()
})

t.test('an answer in progress when the drain begins has `Connection: close`', async (t) => {
  const { app, target } = await serverFor(t, { DRAIN_MS: '20000' })
  const accepted = once(app.server, 'connection') as Promise<[Socket]>
  const socket = await connect(target('http'))
  const answered = readAll(socket)
  socket.write('POST /nothing HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 2\r\n\r\n{')
  const [stream] = await accepted
  await until(() => stream.bytesRead > 0, 'it has begun to ask')
  const closing = app.close()
  await until(() => !app.isReady(), 'the drain begins')
  socket.write('}')
  t.match(String(await answered), /^HTTP\/1\.1 404 [^]*\r\nconnection: close\r\n/i)
  await closing
})

/** Reports when cli.ts has installed its signal handlers: before that, Node.js itself is still loading. */
const TELLS = `--import=data:text/javascript,${encodeURIComponent('process.on("newListener", (name) => { if (name === "SIGINT" && new Error().stack.includes("/dist/cli.js")) process.stderr.write("begins") })')}`

/** Starts the program, sends the signal after `ms` milliseconds, and resolves to the exit code and signal. */
async function endAfter (ms: number, signal: NodeJS.Signals): Promise<{ code: number | null, killedBy: string | null }> {
  const child = launch(['serve'], FREE_PORTS, { node: [TELLS] })
  child.stdout?.resume()
  await once(child.stderr as Readable, 'data')
  child.stderr?.resume()
  await delay(ms)
  child.kill(signal)
  const [code, killedBy] = await once(child, 'exit') as [number | null, string | null]
  return { code, killedBy }
}

t.test('SIGTERM and SIGINT at any moment of the start end it with 0', async (t) => {
  const moments = [0, 5, 20, 50, 80, 120, 160, 200, 250, 300, 400, 600]
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const ends = []
    for (let i = 0; i < moments.length; i += 4) ends.push(...await Promise.all(moments.slice(i, i + 4).map((ms) => endAfter(ms, signal))))
    t.same(ends, moments.map(() => ({ code: 0, killedBy: null })), `${signal} after ${moments.join(', ')} ms`)
  }
})

t.test('a fault of the process itself, such as SIGSEGV, ends it at once', async (t) => {
  const { child } = await serve(t)
  child.kill('SIGSEGV')
  const [, killedBy] = await once(child, 'exit')
  t.equal(killedBy, 'SIGSEGV')
})
