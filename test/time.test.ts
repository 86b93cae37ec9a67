/** The time services: each second once, in the time zone of date(1). */
import { execFileSync } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import t from 'tap'
import { ask } from '../src/clients/tcp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { wsTime } from '../src/routes/ws-time.ts'
import type { WebSocketClient, WebSocketReceiver } from '../src/service.ts'
import { serve, serverFor, TIMEOUT_MS, until } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

t.test('/ws/time sends every second once, at its beginning', async (t) => {
  const { target } = await serverFor(t)
  const heard: { text: string, at: number }[] = []
  const listen = () => connectWebSocket({ ...target('http'), path: '/ws/time' }, { ...options, onMessage: ({ data }) => heard.push({ text: String(data), at: Date.now() }) })
  const socket = await listen()
  await until(() => heard.length >= 4, 'three seconds')
  socket.close()
  const times = heard.map(({ text }) => Date.parse(text) / 1000)
  t.same(times, times.map((_time, index) => (times[0] ?? 0) + index), 'one after the other')
  // A busy machine may be late, but never early.
  for (const { text, at } of heard.slice(1)) t.ok(at >= Date.parse(text), `${text} is told when it has begun`)
})

t.test('no second is sent twice, neither by an early timer nor to a client that connects just before a tick', async (t) => {
  let now = 1_000_000_000_990
  t.intercept(Date, 'now', { value: () => now })
  const service = wsTime()
  const told: string[] = []
  const client = { isBehind: false, send: (text: string) => told.push(text) } as unknown as WebSocketClient
  const receiver = service.onConnection(client) as WebSocketReceiver
  // The timer fires after 10 ms while the clock stands still, which is too early.
  await delay(50)
  t.equal(told.length, 1)
  now += 500
  await until(() => told.length === 2, 'the next second')
  await delay(50)
  t.equal(new Set(told).size, told.length)
  receiver.close?.()
})

t.test('the zone is that of date(1), also if TZ is in POSIX form', async (t) => {
  for (const [TZ, isTold] of [['CET-1CEST,M3.5.0,M10.5.0/3', false], ['<+0545>-5:45', false], ['Asia/Tokyo', false], ['ABC3:17', true]] as const) {
    const { target, lines, child } = await serve(t, { TZ })
    const seconds = async () => Date.parse(`${String(await ask(target('time'), options)).trim()} UTC`) / 1000
    const date = () => Date.parse(`${execFileSync('date', ['+%Y-%m-%dT%H:%M:%S'], { env: { ...process.env, TZ } }).toString().trim()}Z`) / 1000
    const before = date()
    const told = await seconds()
    t.equal(told >= before && told <= date(), !isTold, TZ)
    t.equal(lines.filter(({ msg }) => /time zone/.test(String(msg))).length, isTold ? 1 : 0, 'one warning where there is none like it')
    child.kill('SIGKILL')
  }
})
