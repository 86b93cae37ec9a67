/** A port on which several sockets listen, and what becomes of it where that cannot be. */
import { readFileSync } from 'node:fs'
import { createServer, Server, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ask } from '../src/clients/tcp.ts'
import { close, listen, type ListenOptions } from '../src/plugins/net-server.ts'
import { SOCKETS_PER_PORT, TcpPort } from '../src/plugins/tcp-port.ts'
import { connect, FREE_PORTS, listeners, serverFor, TIMEOUT_MS } from './support.ts'

const HOST = '127.0.0.1'
const options = { timeoutMs: TIMEOUT_MS }
/** More than one socket takes in a turn. */
const CLIENTS = 64

/** Whether this Node.js and this system let sockets share a port. */
async function canShare (): Promise<boolean> {
  const [one, other] = [createServer(), createServer()]
  try {
    const port = await listen(one, { host: HOST, port: 0, reusePort: true })
    await listen(other, { host: HOST, port, reusePort: true })
    return true
  } catch {
    return false
  } finally {
    await Promise.all([one, other].map(close))
  }
}

/** How many sockets listen on a port of 127.0.0.1, as Linux tells it. */
function listening (port: number): number {
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`
  return readFileSync('/proc/net/tcp', 'latin1').split('\n').map((line) => line.trim().split(/ +/)).filter(([, address, , state]) => address === local && state === '0A').length
}

/** A port that greets, and what it was told. */
function portFor (t: Test): { port: TcpPort, sockets: Socket[], errors: NodeJS.ErrnoException[] } {
  const sockets: Socket[] = []
  const errors: NodeJS.ErrnoException[] = []
  const port = new TcpPort({ onConnection: (socket) => { sockets.push(socket.on('error', () => {})) }, onError: (error) => errors.push(error) })
  t.teardown(async () => {
    for (const socket of sockets) socket.destroy()
    await port.close()
  })
  return { port, sockets, errors }
}

const isShared = await canShare()
const expected = isShared ? SOCKETS_PER_PORT : 1

t.test('every TCP port has as many sockets as it can have, HTTP\'s too, and none once it is closed', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
  const server = await serverFor(t)
  const ports = ['http', 'time', 'echo', 'sink'].map((name) => server.target(name).port)
  t.same(ports.map(listening), ports.map(() => expected))
  await server.app.close()
  t.same(ports.map(listening), ports.map(() => 0))
})

t.test('one turn of the loop takes a connection from each of them', async (t) => {
  const { port, sockets } = portFor(t)
  const bound = await port.listen(HOST, 0)
  const clients = Array.from({ length: CLIENTS }, () => connect({ host: HOST, port: bound }))
  const perTurn: number[] = []
  for (let taken = 0; taken < CLIENTS; taken = sockets.length) {
    await setImmediate()
    perTurn.push(sockets.length - taken)
  }
  for (const client of await Promise.all(clients)) client.destroy()
  const most = Math.max(...perTurn)
  t.ok(isShared ? most > 1 && most <= SOCKETS_PER_PORT : most === 1, `${most} at most`)
})

t.test('a port is taken alone: nobody who shares it gets a part of its clients', async (t) => {
  const theirs = createServer()
  t.teardown(() => close(theirs))
  const bound = await listen(theirs, { host: HOST, port: 0, reusePort: true })
  await t.rejects(portFor(t).port.listen(HOST, bound), { code: 'EADDRINUSE' })
  await t.rejects(serverFor(t, { TIME_PORT: String(bound) }), { message: new RegExp(`TIME_PORT=${bound}: .* in use by another program`) })

  const server = await serverFor(t)
  const { port } = server.target('time')
  await t.rejects(portFor(t).port.listen(HOST, port), { code: 'EADDRINUSE' }, 'nor one of ours')
  await t.rejects(listen(createServer(), { host: HOST, port }), { code: 'EADDRINUSE' })
})

t.test('where a port cannot be shared, one socket listens', async (t) => {
  const { listen: original } = Server.prototype
  t.teardown(() => { Server.prototype.listen = original })
  const given: ListenOptions[] = []
  Server.prototype.listen = function (this: Server, ...args: unknown[]) {
    const [wanted] = args as [ListenOptions]
    given.push(wanted)
    if (!wanted.reusePort) return Reflect.apply(original, this, args) as Server
    process.nextTick(() => this.emit('error', Object.assign(new Error('listen ENOPROTOOPT'), { code: 'ENOPROTOOPT' })))
    return this
  } as typeof original
  const server = await serverFor(t, FREE_PORTS)
  t.ok(given.some(({ reusePort }) => reusePort), 'it was tried')
  t.match(String(await ask(server.target('time'), options)), /\d{4}\r\n$/)
  t.equal((await fetch(`http://${HOST}:${server.target('http').port}/healthz`)).status, 200)
  await server.app.close()
})

t.test('an error that comes later is told', async (t) => {
  const servers = listeners(t)
  const { port, errors } = portFor(t)
  await port.listen(HOST, 0)
  for (const server of servers) if (server.listening) server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }))
  t.same(errors.map(({ code }) => code), Array.from({ length: expected }, () => 'EMFILE'))
})
