/** Starting and stopping: busy ports, addresses, and a drain that no client can hold up. */
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { createSocket } from 'node:dgram'
import { hostname, networkInterfaces } from 'node:os'
import t, { type Test } from 'tap'
import { ask } from '../src/clients/tcp.ts'
import { get } from '../src/clients/http.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { loadConfig } from '../src/config/config.ts'
import { createLogger } from '../src/log/logger.ts'
import { logPorts, start } from '../src/server.ts'
import { StartError } from '../src/config/start-error.ts'
import { startTable } from '../src/commands/start-table.ts'
import { connect, FREE_PORTS, readAll, serverFor, settled, TIMEOUT_MS, until } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
const MIB = 1_048_576
const silent = createLogger('silent', false)
const OWN = { name: 'debian', addresses: ['127.0.1.1'] }

async function busyTcpPort (t: Test): Promise<number> {
  const server: Server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

async function busyUdpPort (t: Test): Promise<number> {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  t.teardown(() => socket.close())
  return socket.address().port
}

t.test('busy ports that were set stop the start; one message names all of them, and nothing stays open', async (t) => {
  const [http, echo, udp] = [await busyTcpPort(t), await busyTcpPort(t), await busyUdpPort(t)]
  const before = process.getActiveResourcesInfo().filter((name) => /Wrap$/.test(name)).length
  const error = await start(loadConfig({ ...FREE_PORTS, HTTP_PORT: String(http), ECHO_PORT: `0,${echo}`, UDP_ECHO_PORT: String(udp) }), silent).catch((error: unknown) => error)
  t.ok(error instanceof StartError)
  t.equal((error as Error).message, [
    'cannot start:',
    `  HTTP_PORT=${http}: tcp port ${http} on 127.0.0.1 is in use by another program. Choose another port, 0 for a free one, or off`,
    `  ECHO_PORT=${echo}: tcp port ${echo} on 127.0.0.1 is in use by another program. Choose another port, 0 for a free one, or off`,
    `  UDP_ECHO_PORT=${udp}: udp port ${udp} on 127.0.0.1 is in use by another program. Choose another port, 0 for a free one, or off`
  ].join('\n'))
  await until(() => process.getActiveResourcesInfo().filter((name) => /Wrap$/.test(name)).length <= before, 'every server and socket is closed')
})

t.test('an address that is not this machine\'s stops the start', async (t) => {
  await t.rejects(start(loadConfig({ ...FREE_PORTS, HOST: '203.0.113.1' }), silent), { message: 'cannot start:\n  HOST=203.0.113.1: this machine does not have that address. Set HOST to one that it has' })
})

t.test('the start fails if there is nothing to serve', async (t) => {
  const off = Object.fromEntries(Object.keys(FREE_PORTS).map((name) => [name, 'off']))
  await t.rejects(start(loadConfig(off), silent), { message: /there is nothing to serve/ })
})

t.test('a busy default port is skipped and shown: in the log, the API, the page and the start table', async (t) => {
  const port = await busyTcpPort(t)
  const config = loadConfig(FREE_PORTS)
  const log: string[] = []
  const { pino } = await import('pino')
  // Marks the busy port as a default: making a real default port busy would disturb other programs.
  const app = await start({ ...config, ports: { ...config.ports, 'echo-once': { variable: 'ECHO_ONCE_PORT', ports: [port], isSet: false } } }, pino({}, { write: (line: string) => { log.push(line) } }))
  t.teardown(() => app.close())
  logPorts(app.endpoints, app.log)
  t.match(log.join(''), `tcp port ${port} is in use by another program: skipped, and tried again every few seconds. Set ECHO_ONCE_PORT to choose another`)
  const rows = (await app.inject('/api/services')).json() as { name: string }[]
  t.match(rows.find(({ name }) => name === 'echo-once'), { state: 'busy', port, open: 0, total: 0 })
  t.match((await app.inject('/')).body, /port in use: trying again/)
  t.match((await app.inject('/readyz')).statusCode, 200)
  t.match(startTable(app.endpoints, OWN, true), new RegExp(`echo-once +tcp +${port} +in use by another program; tried again every few seconds\\. Or set ECHO_ONCE_PORT`))
})

t.test('a service that is off is shown as off', async (t) => {
  const { app, endpoint } = await serverFor(t, { ECHO_PORT: 'off', LISTENER_PORT: 'off' })
  const rows = (await app.inject('/api/services')).json() as { name: string }[]
  t.match(rows.find(({ name }) => name === 'echo'), { state: 'off', port: null })
  t.match(rows.find(({ name }) => name === 'listener'), { state: 'off', port: null })
  const shown = startTable(app.endpoints, OWN, true)
  t.notMatch(shown, /^ {2}echo /m)
  t.match(shown, /^Off: echo, listener\.$/m)
  t.match(shown, new RegExp(`create_connection\\(\\('127\\.0\\.0\\.1', ${endpoint('echo-once').port}\\)\\)`), 'the client talks to another')
})

t.test('a service is served on all of its ports, HTTP and WebSocket too', async (t) => {
  const { app } = await serverFor(t, { HTTP_PORT: '0,0', TIME_PORT: '0,0,0' })
  const http = app.endpoints.filter(({ name }) => name === 'http')
  t.equal(http.length, 2)
  for (const { port } of http) {
    const target = { host: '127.0.0.1', port: port ?? 0 }
    t.equal((await get(target, '/healthz', TIMEOUT_MS)).status, 200)
    const socket = await connectWebSocket({ ...target, path: '/ws/echo' }, options)
    socket.close()
    await once(socket, 'close')
  }
  await until(() => http.every(({ total, open }) => total === 2 && open === 0), 'each port counts its own')
  const times = app.endpoints.filter(({ name }) => name === 'time')
  t.equal(new Set(times.map(({ port }) => port)).size, 3)
  for (const { port } of times) t.match(String(await ask({ host: '127.0.0.1', port: port ?? 0 }, options)), /\d{4}\r\n$/)
})

t.test('the start says first what to do next: the page, then a client of six lines to paste, then the table', async (t) => {
  const { app, endpoint } = await serverFor(t)
  const shown = startTable(app.endpoints, OWN, true)
  t.match(shown, new RegExp(`^
oneloop is running\\. Only this machine can reach it, at 127\\.0\\.0\\.1.*

  Open {3}http://127\\.0\\.0\\.1:${endpoint('http').port}/ {3}press Block and see who waits
  Talk {3}paste this into another terminal:

python3 - <<'END'
(.*\n){4}END

  http +http +\\d+ {2}curl `))
  for (const line of shown.split('\n')) {
    t.ok(line.length <= 100, line)
    t.equal(line.includes('oneloop ws'), line.endsWith('  in this folder'), line)
  }
  t.notMatch(startTable(app.endpoints, OWN, false), 'Block')
})

t.test('HTTP may be off', async (t) => {
  const { target, app } = await serverFor(t, { HTTP_PORT: 'off' })
  t.match(startTable(app.endpoints, OWN, true), /^ {2}There is no page: HTTP_PORT is off\.$/m)
  t.match(String(await ask(target('time'), options)), /\d{4}\r\n$/)
})

t.test('with ::, clients of both families reach HTTP, TCP and UDP', async (t) => {
  const { endpoint, app } = await serverFor(t, { HOST: '::' })
  for (const host of ['127.0.0.1', '::1']) {
    const target = (name: string) => ({ host, port: endpoint(name).port ?? 0 })
    t.equal((await get(target('http'), '/healthz', TIMEOUT_MS)).status, 200, `HTTP over ${host}`)
    t.equal(String(await ask(target('echo'), { send: Buffer.from('abc'), ...options })), 'abc', `TCP over ${host}`)
    t.equal(String(await sendDatagram(target('udp-echo'), Buffer.from('abc'), options)), 'abc', `UDP over ${host}`)
  }
  t.match(startTable(app.endpoints, OWN, true), /^oneloop is running\. It listens on every address: other machines can reach it too\.$/m)
})

t.test('with 0.0.0.0, tutorial clients that connect to 127.0.0.4 or to this machine\'s own name are served', async (t) => {
  const { endpoint } = await serverFor(t, { HOST: '0.0.0.0' })
  const own = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address
  for (const host of ['127.0.0.4', hostname(), ...(own ? [own] : [])]) {
    t.equal(String(await ask({ host, port: endpoint('greeting').port ?? 0 }, options)), 'Thank you for connecting with the socket', host)
  }
})

t.test('by default only this machine reaches it', async (t) => {
  const own = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address
  if (!own) {
    t.pass('this machine has no address but loopback', { skip: true })
    return
  }
  const { endpoint, app } = await serverFor(t)
  await t.rejects(ask({ host: own, port: endpoint('time').port ?? 0 }, options), { code: 'ECONNREFUSED' })
  t.match(startTable(app.endpoints, { name: 'lab', addresses: ['192.0.2.1'] }, true), /^This machine's name, lab, resolves to 192\.0\.2\.1\. Clients .* need\nHOST=127\.0\.0\.1,192\.0\.2\.1 npm start +\(other machines can reach it then, too\)$/m)
})

t.test('a drain is unready at once, sends 1001 to WebSockets, sends pending bytes and a FIN to TCP, and lets an HTTP answer finish', async (t) => {
  const server = await serverFor(t, { DRAIN_MS: '30000' })
  const { app, target, endpoint } = server
  // A request in progress, with an incomplete body.
  const inFlight = await connect(target('http'))
  const answer = readAll(inFlight)
  inFlight.write('POST /nothing HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{')
  const idle = await connect(target('http'))
  const idleEnded = readAll(idle)
  const socket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
  const closed = once(socket, 'close')
  const echo = await connect(target('echo'))
  const echoed = readAll(echo)
  echo.write('abc')
  await until(() => endpoint('echo').bytesOut === 3 && endpoint('http').open === 2, 'all four are under way')

  const started = performance.now()
  const closing = app.close()
  await until(() => !app.isReady(), 'unready')
  t.equal(endpoint('time').state, 'draining')
  t.equal((await closed)[0], 1001)
  t.equal(String(await echoed), 'abc', 'the written bytes, then the FIN')
  await idleEnded
  await t.rejects(ask(target('time'), options), { code: 'ECONNREFUSED' }, 'nobody new is accepted')
  inFlight.write('}')
  t.match(String(await answer), /^HTTP\/1\.1 404/, 'the answer under way is finished')
  await closing
  t.ok(performance.now() - started < 15_000, 'well before the deadline')
  t.ok(app.endpoints.every(({ state, open }) => state === 'closed' && open === 0))
})

t.test('no client holds a drain up by ignoring the close frame, never reading, keeping a request open or sending on', async (t) => {
  const server = await serverFor(t, { DRAIN_MS: '5000', WS_CLOSE_MS: '60000' })
  const { app, target, endpoint } = server
  const deaf = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
  deaf.pause()
  const reader = await connect(target('echo'), { allowHalfOpen: true })
  reader.pause()
  for (let i = 0; i < 32; i++) reader.write(Buffer.alloc(MIB))
  const request = await connect(target('http'), { allowHalfOpen: true })
  request.write('POST / HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 10\r\nContent-Type: application/json\r\n\r\n{')
  const sender = await connect(target('sink'), { allowHalfOpen: true })
  const more = setInterval(() => sender.write('more'), 20)
  t.teardown(() => {
    clearInterval(more)
    deaf.terminate()
    for (const socket of [reader, request, sender]) socket.destroy()
  })
  await until(() => endpoint('sink').bytesIn > 0 && endpoint('http').open === 1, 'all are under way')
  await settled(() => endpoint('echo').bytesIn)
  const started = performance.now()
  await app.close()
  t.ok(performance.now() - started < 5000, 'closed within DRAIN_MS')
  t.ok(app.endpoints.every(({ open }) => open === 0))
  const reasons = server.log.filter(({ msg }) => msg === 'connection closed').map(({ service, reason }) => `${service}: ${reason}`)
  t.ok(reasons.includes('echo: server draining'), reasons.join('; '))
})

t.test('a drain waits at most a second for the FIN of a silent client', async (t) => {
  const { app, target, endpoint } = await serverFor(t, { DRAIN_MS: '20000', TCP_FIN_MS: '20000', TCP_IDLE_MS: '20000' })
  const silent = await connect(target('echo'), { allowHalfOpen: true })
  const ended = once(silent, 'end')
  silent.resume()
  t.teardown(() => { silent.destroy() })
  await until(() => endpoint('echo').open === 1, 'it is in')
  const started = performance.now()
  await app.close()
  const took = performance.now() - started
  await ended
  t.ok(took > 900 && took < 10_000, `${took} ms`)
  t.same([...endpoint('echo').crossings], [], 'that is no idle client')
})

t.test('a drain waits at most TCP_FIN_MS for the FIN of a client that goes on sending', async (t) => {
  const { app, target, endpoint, log } = await serverFor(t, { DRAIN_MS: '20000', TCP_FIN_MS: '1500' })
  const talker = await connect(target('echo'), { allowHalfOpen: true })
  talker.on('error', () => {}).resume()
  const talk = setInterval(() => talker.write('x'), 100)
  t.teardown(() => {
    clearInterval(talk)
    talker.destroy()
  })
  await until(() => endpoint('echo').open === 1, 'it is in')
  const started = performance.now()
  await app.close()
  const took = performance.now() - started
  t.ok(took > 1400 && took < 10_000, `${took} ms`)
  t.ok(log.some(({ msg, reason }) => msg === 'connection closed' && String(reason).startsWith('server draining')))
})
