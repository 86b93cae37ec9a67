/** The steps of the wire: a step takes a client's stream and returns a stream, unknown to the runners. */
import { once } from 'node:events'
import { Duplex, pipeline, Transform } from 'node:stream'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { buildApp, type App } from '../src/app.ts'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/tcp.ts'
import { loadConfig } from '../src/config/config.ts'
import { Refusal, type Step } from '../src/wire/index.ts'
import { connect, FREE_PORTS, readAll, TIMEOUT_MS, until } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

async function appWith (t: Test, steps: readonly Step[]): Promise<{ app: App, target: (name: string) => { host: string, port: number } }> {
  const app = await buildApp(loadConfig({}, { ...FREE_PORTS, DRAIN_MS: '2000' }), pino({ level: 'silent' }), { steps })
  t.teardown(() => app.close())
  await app.ready()
  return { app, target: (name) => ({ host: '127.0.0.1', port: app.endpoints.find((one) => one.name === name)?.port ?? 0 }) }
}

const map = (change: (byte: number) => number) => new Transform({
  transform (chunk: Buffer, _encoding, done) { done(null, chunk.map(change)) }
})
/** Scrambles both directions of the client's stream. */
const scrambled: Step = (client) => {
  const [readable, writable] = [map((byte) => byte ^ 1), map((byte) => byte ^ 1)]
  pipeline(client.stream, readable, () => {})
  pipeline(writable, client.stream, () => {})
  return { ...client, stream: Duplex.from({ readable, writable }) }
}

t.test('a runner uses the stream that the last step returns', async (t) => {
  const seen: string[] = []
  const note = (name: string): Step => async (client) => {
    seen.push(name)
    await new Promise(setImmediate)
    return client
  }
  const { app, target } = await appWith(t, [note('first'), scrambled, note('second')])
  const sent = Buffer.alloc(1_000_000, 'oneloop ')
  t.ok((await ask(target('echo'), { send: sent, ...options })).equals(sent), 'a megabyte, a half-close, and every byte back')
  t.same(seen, ['first', 'second'])
  // The service sends plain text; only the step scrambles it.
  t.match((await ask(target('greeting'), options)).map((byte) => byte ^ 1).toString(), 'Thank you for connecting with the socket')
  await until(() => app.endpoints.every(({ open }) => open === 0), 'all are gone')
  t.equal(app.endpoints.find(({ name }) => name === 'echo')?.bytesIn, sent.length)
})

t.test('steps apply to HTTP as well as raw TCP', async (t) => {
  let passed = 0
  const { target } = await appWith(t, [(client) => { passed++; return client }])
  t.equal((await get(target('http'), '/healthz', TIMEOUT_MS)).status, 200)
  t.equal(String(await ask(target('echo'), { send: Buffer.from('abc'), ...options })), 'abc')
  t.equal(passed, 2)
})

t.test('a client that a step refuses is counted under the reason, does not affect others, and gives its place back', async (t) => {
  let isRefused = true
  const { app, target } = await appWith(t, [async (client) => {
    if (isRefused) throw new Refusal('no header')
    return client
  }])
  const echo = app.endpoints.find(({ name }) => name === 'echo')
  for (let i = 0; i < 40; i++) t.equal((await readAll(await connect(target('echo')))).length, 0)
  t.equal(echo?.refusals.get('no header'), 40, 'more than one address may have at a time')
  t.equal(echo?.total, 0)
  isRefused = false
  t.equal(String(await ask(target('echo'), { send: Buffer.from('abc'), ...options })), 'abc')
})

t.test('a client that resets during a step is forgotten', async (t) => {
  let release = () => {}
  const { app, target } = await appWith(t, [async (client) => {
    await new Promise<void>((resolve) => { release = resolve })
    return client
  }])
  const socket = await connect(target('echo'))
  await until(() => app.endpoints.length > 0 && String(release) !== '() => {}', 'the step waits')
  socket.resetAndDestroy()
  await once(socket, 'close')
  release()
  await until(() => app.endpoints.every(({ open }) => open === 0), 'it is gone')
  const other = ask(target('echo'), { send: Buffer.from('abc'), ...options })
  await until(() => { release(); return true }, 'the next one')
  const timer = setInterval(() => release(), 5)
  t.equal(String(await other), 'abc')
  clearInterval(timer)
})
