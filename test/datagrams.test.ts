/** What a flood of datagrams does to everybody else, on both ways of reading; and that nothing of it is lost on the way. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { pauseOf, works, type PauseOf } from '../src/plugins/udp-pause.ts'
import { SHARE_MS } from '../src/turn.ts'
import { serverFor, TIMEOUT_MS, until, type TestServer } from './support.ts'

const COUNT = 60
/** What a datagram takes here: longer than it does, so that the busiest machine counts the same. */
const EACH_MS = SHARE_MS

/** The methods of a UDP socket's handle. */
function methods (): { recvStop: unknown } {
  const socket = createSocket('udp4')
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol') as symbol
  const { handle } = (socket as unknown as Record<symbol, { handle: object }>)[symbol] as { handle: object }
  socket.close()
  return Object.getPrototypeOf(handle) as { recvStop: unknown }
}

/** Sends a flood that comes while the loop is held, and tells how much of it was served in each turn after that, and the answers. */
async function flood (t: Test, { endpoint, target }: TestServer): Promise<{ turns: number[], answers: string[] }> {
  const sender: Socket = createSocket('udp4')
  t.teardown(() => sender.close())
  const answers: string[] = []
  sender.on('message', (message) => answers.push(String(message)))
  sender.connect(target('udp-echo').port, '127.0.0.1')
  await once(sender, 'connect')
  const echo = endpoint('udp-echo')
  const { now } = performance
  let passed = 0
  // It is asked when a datagram comes.
  performance.now = () => now.call(performance) + (passed += EACH_MS)
  t.teardown(() => { performance.now = now })
  for (let i = 0; i < COUNT; i++) sender.send(String(i))
  const turns: number[] = []
  const deadline = now.call(performance) + TIMEOUT_MS
  for (let before = echo.total; echo.total < COUNT; before = echo.total) {
    if (now.call(performance) > deadline) throw new Error(`${COUNT - echo.total} datagrams did not come`)
    await nextTurn()
    if (echo.total > before) turns.push(echo.total - before)
  }
  performance.now = now
  await until(() => answers.length === COUNT, 'every datagram is answered')
  return { turns, answers }
}

const everyOne = Array.from({ length: COUNT }, (_, i) => String(i))

t.test('a flood of datagrams has its share of a turn, and the rest waits for the next ones', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const { turns, answers } = await flood(t, server)
  t.ok(Math.max(...turns) <= 3, `served in each turn: ${turns.join(' ')}`)
  t.same(answers, everyOne, 'each is answered, in its order')
  t.notOk(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to stop')))
})

t.test('where Node.js has no way to stop a socket all is served at once', async (t) => {
  const handle = methods()
  const { recvStop } = handle
  handle.recvStop = () => {}
  const server = await serverFor(t, { PROFILE: 'bench' }).finally(() => { handle.recvStop = recvStop })
  t.ok(server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to stop a UDP socket')))
  const { turns, answers } = await flood(t, server)
  t.ok(Math.max(...turns) > 3, `served in each turn: ${turns.join(' ')}`)
  t.same(answers, everyOne)
})

t.test('what a socket does when it is stopped is found out at the start', async (t) => {
  t.equal(await works(pauseOf, '127.0.0.1'), true, 'this Node.js')
  const others: Record<string, PauseOf> = {
    'one without a way': () => undefined,
    'one that goes on': () => ({ stop () {}, start () {} }),
    'one that does not start again': (socket) => ({ stop () { pauseOf(socket)?.stop() }, start () {} })
  }
  for (const [name, other] of Object.entries(others)) t.equal(await works(other, '127.0.0.1', 300), false, name)
  t.equal(await works(pauseOf, '192.0.2.1'), false, 'on an address that is not of this machine')
})

t.test('a socket that is closed while it waits stays closed', async (t) => {
  const socket = createSocket('udp4')
  socket.bind(0, '127.0.0.1')
  await once(socket, 'listening')
  const pause = pauseOf(socket)
  t.ok(pause)
  pause?.stop()
  socket.close()
  await once(socket, 'close')
  t.doesNotThrow(() => pause?.start())
  t.doesNotThrow(() => pause?.stop())
})
