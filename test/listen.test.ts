/** Listening: the addresses, one port number on all of them, busy ports, and the source address of UDP answers. */
import { execFileSync } from 'node:child_process'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { loadConfig } from '../src/config/config.ts'
import { ownName, withOwnName } from '../src/config/hosts.ts'
import { start } from '../src/server.ts'
import { openPort, type Open } from '../src/wire/ports.ts'
import { FREE_PORTS, run, serverFor, TIMEOUT_MS, until } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
const HAS_IPV6 = Object.values(networkInterfaces()).flat().some((one) => one?.address === '::1')
const LOOPBACK = ['127.0.0.1', ...(HAS_IPV6 ? ['::1'] : []), '127.0.0.4']

// Must stay first: the sockets of an earlier test might still be closing.
t.test('each address has one socket for each port', async (t) => {
  const count = (kind: string) => process.getActiveResourcesInfo().filter((resource) => resource === kind).length
  const { app } = await serverFor(t)
  const addresses = (isUdp: boolean) => app.endpoints
    .filter(({ transport }) => transport !== 'websocket' && (transport === 'udp') === isUdp)
    .reduce((sum, endpoint) => sum + endpoint.addresses.length, 0)
  t.equal(count('TCPServerWrap'), addresses(false))
  t.equal(count('UDPWrap'), addresses(true))
  t.ok(addresses(false) >= 8 && addresses(true) >= 3, 'and there are some')
})

t.test('by default, tutorial clients reach every service at each loopback address, on one port number', async (t) => {
  const { app, endpoint } = await serverFor(t)
  for (const { name, addresses } of app.endpoints) t.same(addresses.slice(0, LOOPBACK.length), LOOPBACK, name)
  for (const host of [...LOOPBACK, 'localhost']) {
    const target = (name: string) => ({ host, port: endpoint(name).port ?? 0 })
    t.equal((await get(target('http'), '/healthz', TIMEOUT_MS)).status, 200, `HTTP at ${host}`)
    t.equal(String(await ask(target('greeting'), options)), 'Thank you for connecting with the socket', `TCP at ${host}`)
    t.equal(String(await sendDatagram(target('udp-echo'), Buffer.from('abc'), options)), 'abc', `UDP at ${host}`)
  }
})

t.test('the addresses of this machine\'s own name are among them if they are loopback addresses', async (t) => {
  const hosts = loadConfig().hosts
  t.same(withOwnName(hosts, { name: 'debian', addresses: ['127.0.1.1'] }).at(-1), { address: '127.0.1.1', isOptional: true })
  t.equal(withOwnName(hosts, { name: 'lab', addresses: ['192.0.2.1'] }).length, hosts.length)
  t.equal(withOwnName(hosts, { name: 'box', addresses: ['127.0.0.1'] }).length, hosts.length)
  t.same((await ownName('localhost')).addresses.includes('127.0.0.1'), true)
  t.same((await ownName('no.such.name.invalid')).addresses, [])
})

t.test('an address that this machine does not have is left out silently by default, and stops the start if somebody set it', async (t) => {
  const log: string[] = []
  const config = { ...loadConfig(FREE_PORTS), hosts: [{ address: '127.0.0.1', isOptional: false }, { address: '203.0.113.1', isOptional: true }] }
  const app = await start(config, pino({}, { write: (line: string) => { log.push(line) } }))
  t.teardown(() => app.close())
  t.same(app.endpoints.map(({ addresses }) => addresses.join()), app.endpoints.map(() => '127.0.0.1'))
  t.notMatch(log.join(''), '203.0.113.1')
  await t.rejects(start(loadConfig({ ...FREE_PORTS, HOST: '127.0.0.1,203.0.113.1' }), pino({ level: 'silent' })), { message: /HOST=203\.0\.113\.1: this machine does not have that address/ })
})

t.test('if a free port is taken on another address, another one is tried', async (t) => {
  const tried: string[] = []
  let next = 1000
  const closed: number[] = []
  const open: Open = async (address, wanted) => {
    const port = wanted || next++
    tried.push(`${address}:${port}`)
    if (address === 'b' && port < 1002) throw Object.assign(new Error('taken'), { code: 'EADDRINUSE' })
    return { port, close: async () => { closed.push(port) } }
  }
  const hosts = ['a', 'b'].map((address) => ({ address, isOptional: false }))
  const { port, addresses } = await openPort(hosts, 0, open)
  t.equal(port, 1002)
  t.same(addresses, ['a', 'b'])
  t.same(tried, ['a:1000', 'b:1000', 'a:1001', 'b:1001', 'a:1002', 'b:1002'])
  t.same(closed, [1000, 1001], 'what was open is closed again')
  await t.rejects(openPort(hosts, 1000, open), { code: 'EADDRINUSE', address: 'b' }, 'one that was chosen is not')
})

async function busy (t: Test, host = '127.0.0.1') {
  const server = createServer().listen(0, host)
  await once(server, 'listening')
  t.teardown(() => { server.close() })
  return { server, port: (server.address() as AddressInfo).port }
}

t.test('a busy default port is retried, and the page, the API and the log tell when it came free', async (t) => {
  // Busy on one of three addresses, so it is served on none.
  const { server, port } = await busy(t, '127.0.0.4')
  const config = loadConfig(FREE_PORTS)
  const log: Record<string, unknown>[] = []
  const app = await start({ ...config, ports: { ...config.ports, greeting: { variable: 'GREETING_PORT', ports: [port], isSet: false } } }, pino({}, { write: (line: string) => { log.push(JSON.parse(line) as Record<string, unknown>) } }))
  t.teardown(() => app.close())
  const greeting = app.endpoints.find(({ name }) => name === 'greeting')
  t.equal(greeting?.state, 'busy')
  await t.rejects(ask({ host: '127.0.0.1', port }, options), { code: 'ECONNREFUSED' })
  server.close()
  await once(server, 'close')
  await until(() => greeting?.state === 'open', 'it is had')
  for (const host of LOOPBACK) t.match(String(await ask({ host, port }, options)), 'Thank you', host)
  t.match(log.at(-1)?.msg === 'connection closed' ? log.find(({ msg }) => msg === 'the port is free now: listening') : log.at(-1), { service: 'greeting', port })
  t.match((await app.inject('/')).body, /open since \d\d:\d\d:\d\d/)
})

t.test('variables that Kubernetes sets for a Service are ignored, with one warning', async (t) => {
  const config = loadConfig({ ...FREE_PORTS, ECHO_PORT: 'tcp://10.96.0.1:80', UDP_ECHO_PORT: 'udp://10.96.0.2:7' })
  t.same(config.ignored, ['ECHO_PORT', 'UDP_ECHO_PORT'])
  t.same(config.ports.echo, { variable: 'ECHO_PORT', ports: [12345, 65432], isSet: false })
  t.throws(() => loadConfig({}, { ECHO_PORT: 'tcp://10.96.0.1:80' }), /from --echo-port must be/, 'a flag is somebody\'s own')
  const log: { msg: string }[] = []
  const app = await start({ ...config, ports: loadConfig(FREE_PORTS).ports }, pino({}, { write: (line: string) => { log.push(JSON.parse(line) as { msg: string }) } }))
  t.teardown(() => app.close())
  t.match(log.filter(({ msg }) => /Kubernetes/.test(msg)), [{ ignored: ['ECHO_PORT', 'UDP_ECHO_PORT'] }])
})

t.test('a HOST set by some shells ends the start with 2, and the message names the environment', async (t) => {
  const { code, stderr } = await run(['serve'], { env: { ...FREE_PORTS, HOST: 'x86_64-pc-linux-gnu' } })
  t.equal(code, 2)
  t.match(stderr, 'HOST="x86_64-pc-linux-gnu" from the environment must be IP addresses')
})

t.test('an answer to a datagram comes from the address that was asked', async (t) => {
  for (const HOST of ['', '0.0.0.0', ...(HAS_IPV6 ? ['::'] : [])]) {
    const { endpoint } = await serverFor(t, { HOST })
    const port = endpoint('udp-echo').port ?? 0
    const own = Object.values(networkInterfaces()).flat().find((one) => one?.family === 'IPv4' && !one.internal)?.address
    for (const asked of ['127.0.0.1', '127.0.0.4', ...(HOST && own ? [own] : [])]) {
      // Not connected, so that it receives answers from any address.
      const socket = createSocket('udp4')
      socket.send('abc', port, asked)
      const [, { address }] = await once(socket, 'message') as [Buffer, { address: string }]
      t.equal(address, asked, `HOST=${HOST}`)
      socket.close()
    }
  }
})

t.test('no second process takes a UDP port that is served', async (t) => {
  const { endpoint } = await serverFor(t)
  const thief: Socket = createSocket({ type: 'udp4', reuseAddr: true })
  thief.bind(endpoint('udp-echo').port ?? 0, '127.0.0.1')
  const [error] = await once(thief, 'error') as [NodeJS.ErrnoException]
  t.equal(error.code, 'EADDRINUSE')
  thief.close()
})

t.test('UDP serves an address that is added later, and stops when it is removed', { skip: process.getuid?.() !== 0 && 'needs the right to add an address' }, async (t) => {
  const ip = (...args: string[]) => {
    try {
      execFileSync('ip', args, { stdio: 'ignore' })
      return true
    } catch {
      return false
    }
  }
  // An address for documentation (RFC 5737).
  const address = '192.0.2.77'
  const { endpoint } = await serverFor(t, { HOST: '0.0.0.0' })
  if (!ip('addr', 'add', `${address}/32`, 'dev', 'lo')) {
    t.pass('no right to add an address', { skip: true })
    return
  }
  t.teardown(() => { ip('addr', 'del', `${address}/32`, 'dev', 'lo') })
  const target = { host: address, port: endpoint('udp-echo').port ?? 0 }
  await until(async () => String(await sendDatagram(target, Buffer.from('abc'), { timeoutMs: 500 }).catch(() => '')) === 'abc', 'it is answered there')
  ip('addr', 'del', `${address}/32`, 'dev', 'lo')
})
