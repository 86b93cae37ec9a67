/** `/metrics`: its format and its counts; clients cannot make it grow. */
import { once } from 'node:events'
import t from 'tap'
import { get } from '../src/clients/http.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { happenings } from './happenings.ts'
import { serverFor, TIMEOUT_MS, until, type TestServer } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

/** The samples by name and labels: `oneloop_refused_total{service="echo",reason="…"}`. */
async function samples ({ target }: TestServer): Promise<Map<string, number>> {
  const { status, body } = await get(target('http'), '/metrics', TIMEOUT_MS)
  if (status !== 200) throw new Error(`/metrics answered ${status}`)
  return new Map(body.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => {
    const [, name = '', value] = /^(.*) (\S+)$/.exec(line) ?? []
    return [name, Number(value)]
  }))
}

t.test('counts what happened, by service, reason, limit and kind', async (t) => {
  const server = await serverFor(t)
  await happenings(server)
  const metrics = await samples(server)
  const expected = {
    'oneloop_connections_open{service="http",transport="http"}': 1,
    'oneloop_connections_open{service="echo",transport="tcp"}': 0,
    'oneloop_connections_total{service="echo",transport="tcp"}': 1,
    'oneloop_received_bytes_total{service="echo",transport="tcp"}': 3,
    'oneloop_sent_bytes_total{service="echo",transport="tcp"}': 3,
    'oneloop_datagrams_received_total{service="udp-echo",transport="udp"}': 2,
    'oneloop_datagrams_answered_total{service="udp-echo",transport="udp"}': 1,
    'oneloop_refused_total{service="udp-echo",reason="UDP_MAX_BYTES"}': 1,
    'oneloop_limits_crossed_total{service="udp-echo",limit="UDP_MAX_BYTES"}': 1,
    'oneloop_limits_crossed_total{service="ws-echo",limit="WS_MAX_MESSAGE_BYTES"}': 1,
    'oneloop_errors_total{service="sink",kind="ECONNRESET"}': 1,
    oneloop_feed_dropped_events_total: 0
  }
  for (const [name, value] of Object.entries(expected)) t.equal(metrics.get(name), value, name)
  for (const name of ['process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_start_time_seconds', 'process_max_fds']) t.ok(Number(metrics.get(name)) > 0, name)
  if (process.platform === 'linux') t.ok(Number(metrics.get('process_open_fds')) > 10)
  t.ok(Math.abs(Number(metrics.get('process_start_time_seconds')) - Date.now() / 1000) < 3600)
  // The two echo ports belong to one service.
  t.equal([...metrics.keys()].filter((name) => name.startsWith('oneloop_connections_open{service="echo"')).length, 1)
})

t.test('the loop\'s delay and utilisation are measured', async (t) => {
  const server = await serverFor(t)
  await until(async () => Number((await samples(server)).get('oneloop_event_loop_delay_seconds_count')) > 2, 'beats are counted')
  const before = await samples(server)
  for (const end = performance.now() + 600; performance.now() < end;);
  const slow = (metrics: Map<string, number>) => Number(metrics.get('oneloop_event_loop_delay_seconds_bucket{le="+Inf"}')) - Number(metrics.get('oneloop_event_loop_delay_seconds_bucket{le="0.5"}'))
  await until(async () => slow(await samples(server)) > slow(before), 'a block of 600 ms is one delay of more than 500 ms')
  await until(async () => Number((await samples(server)).get('oneloop_event_loop_utilization_ratio')) > 0, 'utilisation is there')
})

t.test('text from clients never becomes a label', async (t) => {
  const server = await serverFor(t)
  const names = async () => [...(await samples(server)).keys()].filter((name) => !name.startsWith('oneloop_event_loop_delay'))
  await happenings(server)
  const before = await names()
  for (let i = 0; i < 20; i++) {
    await fetch(`http://127.0.0.1:${server.target('http').port}/nothing-${i}`, { method: 'POST', headers: { 'content-type': `text/x-${i}` }, body: 'x' }).then((response) => response.text())
    const socket = await connectWebSocket({ ...server.target('http'), path: '/ws/echo' }, options)
    socket.close(3000 + i, `reason ${i}`)
    await once(socket, 'close')
  }
  t.same(await names(), before)
  const { body } = await get(server.target('http'), '/metrics', TIMEOUT_MS)
  t.notMatch(body, /127\.0\.0\.1|::1/, 'no address is told')
})
