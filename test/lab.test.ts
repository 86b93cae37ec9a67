/** The lab: the feed, the loop, the lessons and Run it; everything stops when nobody watches. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { request } from 'node:http'
import { hostname } from 'node:os'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { ask } from '../src/clients/tcp.ts'
import { play } from '../src/clients/transcript.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { Feed } from '../src/traffic/feed.ts'
import type { FeedEvent } from '../src/shared/messages.ts'
import { LessonBudget, LessonRefused, sentence } from '../src/lab/lessons.ts'
import { startSampler } from '../src/lab/sampler.ts'
import type { FeedMessage, FeedRequest, LessonResult, LoopMessage, LoopTick, RunResult, Transcript } from '../src/shared/messages.ts'
import { readRequest, wsFeed } from '../src/routes/ws-feed.ts'
import type { WebSocketClient } from '../src/service.ts'
import { connect, serverFor, settled, TIMEOUT_MS, until, type TestServer } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

/** A viewer of `/ws/feed`, and everything it received. */
async function viewer (t: Test, { target }: TestServer) {
  const events: FeedEvent[] = []
  const seen = { events, dropped: 0, errors: [] as string[], isGreeted: false, you: '' }
  const socket = await connectWebSocket({ ...target('http'), path: '/ws/feed' }, {
    ...options,
    onMessage ({ data }) {
      const message = JSON.parse(String(data)) as FeedMessage
      if (message.type === 'hello') {
        seen.isGreeted = true
        seen.you = message.you
      }
      if (message.type === 'error') seen.errors.push(message.message)
      if (message.type !== 'events') return
      events.push(...message.events)
      seen.dropped += message.dropped
    }
  })
  t.teardown(() => socket.terminate())
  const want = async (wish: FeedRequest | string) => {
    const pong = once(socket, 'pong')
    socket.send(typeof wish === 'string' ? wish : JSON.stringify(wish))
    // The pong comes after the request was handled.
    socket.ping()
    await pong
  }
  return { ...seen, seen, socket, want }
}

/** A viewer of `/ws/loop`, and everything it received. */
async function watcher (t: Test, { target }: Pick<TestServer, 'target'>) {
  const messages: LoopMessage[] = []
  const socket = await connectWebSocket({ ...target('http'), path: '/ws/loop' }, {
    ...options,
    onMessage: ({ data }) => messages.push(JSON.parse(String(data)) as LoopMessage)
  })
  t.teardown(() => socket.terminate())
  const ticks = () => messages.filter((message): message is LoopTick => message.type === 'loop')
  return { socket, messages, ticks, pings: () => ticks().flatMap(({ pings }) => pings) }
}

interface Answer<T> { readonly status: number, readonly headers: Record<string, unknown>, readonly body: T & { code: string, message: string } }

/** Sends a POST over a real connection, which `inject` does not use. */
async function post<T> ({ target }: Pick<TestServer, 'target'>, path: string, headers: Record<string, string> = {}): Promise<Answer<T>> {
  const sent = request({ ...target('http'), path, method: 'POST', headers, agent: false }).end()
  const [response] = await once(sent, 'response')
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode, headers: response.headers, body: JSON.parse(text) }
}

t.test('the feed tells a viewer of a connection from connect to close', async (t) => {
  const server = await serverFor(t)
  const { events, seen } = await viewer(t, server)
  await until(() => seen.isGreeted, 'it is greeted')
  t.equal(seen.you, '127.0.0.1', 'and told which address is its own')
  await ask(server.target('echo'), { send: Buffer.from('abc'), ...options })
  const life = () => events.filter(({ service }) => service === 'echo')
  await until(() => life().some(({ type }) => type === 'close'), 'it is told of the close')
  t.match(life(), [
    { type: 'connect', transport: 'tcp' },
    { type: 'receive', bytes: 3 },
    { type: 'send', bytes: 3 },
    { type: 'half-close' },
    { type: 'close', reason: 'closed by client', bytesIn: 3, bytesOut: 3 }
  ])
  t.equal(new Set(life().map(({ connection }) => connection)).size, 1)
})

t.test('a viewer gets only what it asks for, and the connection that it follows', async (t) => {
  const server = await serverFor(t)
  const { events, want } = await viewer(t, server)
  const followed = await connect(server.target('echo'))
  await until(() => events.some(({ service }) => service === 'echo'), 'it is told of the connection')
  const follow = events.find(({ service }) => service === 'echo')?.connection ?? 0
  await want({ transports: ['udp'], follow })
  events.length = 0
  await ask(server.target('greeting'), options)
  await sendDatagram(server.target('udp-echo'), Buffer.from('abc'), options)
  followed.write('abc')
  await until(() => events.some(({ type, transport }) => type === 'send' && transport === 'tcp'), 'it is told of the echo')
  t.same(new Set(events.map(({ service }) => service)), new Set(['udp-echo', 'echo']))
  t.ok(events.every(({ transport, connection }) => transport === 'udp' || connection === follow))
  await want({ service: 'greeting' })
  events.length = 0
  await ask(server.target('time'), options)
  await ask(server.target('greeting'), options)
  await until(() => events.some(({ type }) => type === 'close'), 'it is told of the close')
  t.same(new Set(events.map(({ service }) => service)), new Set(['greeting']))
  followed.destroy()
})

t.test('a bad request to the feed gets an error that says what is wrong, and changes nothing', async (t) => {
  const server = await serverFor(t)
  const { seen, want, socket } = await viewer(t, server)
  const bad = ['', 'x', '[]', '{"transports":["sctp"]}', '{"follow":0}', '{"follow":"1"}', '{"service":1}', 'null', '{"transports":"tcp"}', '{"follow":1.5}', '{"other":1}', '{"__proto__":1}', `{"service":"${'x'.repeat(65)}"}`, `{"follow":1${' '.repeat(1024)}}`]
  for (const text of bad) await want(text)
  await until(() => seen.errors.length === bad.length, 'each is answered')
  for (const text of bad) t.type(readRequest(Buffer.from(text)), 'string', text.slice(0, 40))
  t.equal(socket.readyState, socket.OPEN)
  await ask(server.target('greeting'), options)
  await until(() => seen.events.some(({ service }) => service === 'greeting'), 'it is told of everything, as before')
})

t.test('a batch has at most 250 events, and the others are counted', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const { seen, want } = await viewer(t, server)
  await want({ transports: ['udp'] })
  const sender = createSocket('udp4')
  sender.connect(server.target('listener').port, '127.0.0.1')
  await once(sender, 'connect')
  const total = server.endpoint('listener')
  let arrived = 0
  // As many as the system queues; on a busy machine they may come in two batches.
  for (let tries = 0; tries < 50 && seen.dropped === 0; tries++) {
    for (let i = 0; i < 2000; i++) sender.send('x')
    arrived = await settled(() => total.total)
    await until(() => seen.events.length + seen.dropped >= arrived, 'all are told of or counted')
  }
  t.equal(seen.events.length + seen.dropped, arrived)
  t.ok(arrived > 250 && seen.dropped > 0, `${arrived} arrived, ${seen.dropped} were left out`)
  sender.close()

  await t.test('a followed connection may add another 250', async (t) => {
    const socket = await connectWebSocket({ ...server.target('http'), path: '/ws/echo' }, options)
    await until(() => server.events.some(({ service }) => service === 'ws-echo'), 'the server has it')
    const { connection = 0 } = server.events.findLast(({ service }) => service === 'ws-echo') ?? {}
    await want({ transports: [], follow: connection })
    const told = () => seen.events.length + seen.dropped
    const before = told()
    const droppedBefore = seen.dropped
    for (let i = 0; i < 1000; i++) socket.send('x')
    await until(() => told() >= before + 2000, 'all are told of or counted')
    t.ok(seen.dropped > droppedBefore)
    socket.terminate()
  })
})

t.test('the loop\'s own viewers and the probe do not appear in the feed, nor does the probe when it reconnects and when it leaves', async (t) => {
  // Makes the probe reconnect for each of its requests.
  const server = await serverFor(t, { HTTP_KEEP_ALIVE_MS: '1' })
  const feed = await viewer(t, server)
  const loop = await watcher(t, server)
  await until(() => loop.pings().length > 40, 'the probe pings')
  const services = feed.events.map(({ service }) => service)
  t.same(services.filter((service) => service.endsWith('echo')), [], 'neither its connections nor what goes over them')
  t.equal(feed.events.filter(({ service, type }) => service.startsWith('ws-') && ['send', 'receive'].includes(type)).length, 0)
  // The viewers' upgrades.
  t.ok(services.length < 20, `${services.length} events`)
  t.equal(server.log.filter(({ msg, url }) => msg === 'request' && url === '/healthz').length, 0, 'nor do its requests in the log')
  await feed.want({ transports: ['tcp', 'udp'] })
  feed.events.length = 0
  loop.socket.close()
  await until(() => server.endpoint('echo').open === 0 && server.app.loop.probePeers.size === 0, 'the probe is gone')
  t.same(feed.events, [])
})

t.test('the feed waits for the address of a new connection of the probe, but not for ever', async (t) => {
  const feed = new Feed(() => {})
  const known = new Set<string>()
  const labPeers = { isConnecting: true, has: (peer: string) => known.has(peer) }
  const told: FeedEvent[] = []
  const client: Partial<WebSocketClient> = {
    isBehind: false,
    remote: { address: '127.0.0.1', port: 1 },
    send (text) {
      const message = JSON.parse(String(text)) as FeedMessage
      if (message.type === 'events') told.push(...message.events)
    }
  }
  const receiver = wsFeed(feed, labPeers).onConnection(client as WebSocketClient) as { close (): void }
  const connects = (peer: string) => feed.publish({ at: 0, type: 'connect', transport: 'tcp', service: 'echo', connection: 1, peer })
  connects('probe')
  connects('other')
  await setTimeout(250)
  t.same(told, [], 'it may be the probe\'s')
  known.add('probe')
  labPeers.isConnecting = false
  await until(() => told.length > 0, 'its address is known')
  t.same(told.map(({ peer }) => peer), ['other'])
  labPeers.isConnecting = true
  connects('third')
  await until(() => told.length > 1, 'the probe gets nowhere')
  receiver.close()
})

t.test('/ws/loop sends the process, the services, the loop and all four round trips', async (t) => {
  const server = await serverFor(t)
  const { messages, ticks, pings } = await watcher(t, server)
  await until(() => messages.length > 0, 'it greets')
  t.match(messages[0], { type: 'hello', pid: process.pid, node: process.version, lanes: ['http', 'websocket', 'tcp', 'udp'] })
  await until(() => new Set(pings().filter(({ ms }) => ms !== null).map(({ transport }) => transport)).size === 4, 'all four are pinged')
  for (const { sample } of ticks()) {
    t.ok(sample.max >= sample.p50 && sample.p50 >= 0)
    t.ok(sample.utilisation >= 0 && sample.utilisation <= 1)
  }
  const row = () => ticks().flatMap(({ services = [] }) => services).findLast(({ name }) => name === 'greeting')
  await ask(server.target('greeting'), options)
  await until(() => row()?.total === 1, 'the counters are live')
  const probed = ticks().findLast(({ services }) => services)?.services?.filter(({ name }) => ['http', 'ws-echo', 'echo', 'udp-echo'].includes(name))
  t.match(probed, [{ name: 'http' }, { name: 'ws-echo' }, { name: 'echo' }, { name: 'echo' }, { name: 'udp-echo' }])
  for (const { name, open, total, bytesIn, bytesOut } of probed ?? []) {
    // HTTP has had the upgrade of this viewer.
    t.same([open, total], [0, name === 'http' ? 1 : 0], `${name} without the probe`)
    if (name !== 'http') t.same([bytesIn, bytesOut], [0, 0], `${name} without the probe's bytes`)
  }
  t.ok(server.endpoint('udp-echo').total > 0)
  await sendDatagram(server.target('udp-echo'), Buffer.from('abc'), options)
  await until(() => ticks().flatMap(({ services = [] }) => services).some(({ name, total, bytesIn, bytesOut }) => name === 'udp-echo' && total === 1 && bytesIn === 3 && bytesOut === 3), 'a visitor\'s datagram counts')
  t.match(ticks().findLast(({ process }) => process)?.process, { rss: Number, heapUsed: Number, uptimeS: Number, listening: server.app.endpoints.filter(({ transport }) => transport !== 'websocket').reduce((sum, { addresses }) => sum + addresses.length, 0) })
})

t.test('the sampler sees every stall, whenever it begins', async (t) => {
  const maxima: number[] = []
  const stop = startSampler(({ max, p50, utilisation }) => {
    maxima.push(max)
    if (maxima.length > 1) t.ok(p50 >= 0 && max >= p50 && utilisation >= 0 && utilisation <= 1)
    // A stall just after a sample: the next sample must show it.
    if (maxima.length % 2 === 1) for (const end = performance.now() + 60; performance.now() < end;);
  })
  await until(() => maxima.length > 6, 'it samples')
  stop()
  t.ok(maxima.filter((_max, index) => index % 2 === 1).every((max) => max > 40), maxima.join())
})

t.test('nothing runs while nobody watches', async (t) => {
  const server = await serverFor(t)
  server.unsubscribe()
  const resources = () => process.getActiveResourcesInfo().filter((name) => ['Timeout', 'MessagePort', 'UDPWrap'].includes(name)).sort().join()
  // The test's own timers come and go.
  const before = server.app.endpoints.length > 0 && await settledText(resources)
  t.equal(server.app.feed.isWatched, false)
  const feed = await viewer(t, server)
  const loop = await watcher(t, server)
  await until(() => loop.pings().length > 8, 'the probe pings')
  t.equal(server.app.feed.isWatched, true)
  t.not(await Promise.resolve(resources()), before)
  t.ok(server.app.loop.probePeers.size >= 4)
  feed.socket.close()
  loop.socket.close()
  await until(() => server.app.loop.probePeers.size === 0 && !server.app.feed.isWatched, 'the probe is gone')
  await until(() => server.endpoint('echo').open === 0 && server.endpoint('ws-echo').open === 0, 'its connections are gone')
  t.equal(await settledText(resources), before)
})

async function settledText (read: () => string): Promise<string> {
  await settled(() => read().length)
  return read()
}

t.test('a viewer that leaves at once starts no probe', async (t) => {
  const server = await serverFor(t)
  const { socket, messages } = await watcher(t, server)
  let hasThread = false
  const look = () => { hasThread ||= process.getActiveResourcesInfo().includes('MessagePort') }
  await until(() => { look(); return messages.length > 0 }, 'it is greeted')
  socket.close()
  await until(() => { look(); return server.endpoint('ws-loop').open === 0 }, 'it is gone')
  await settled(() => { look(); return server.endpoint('echo').total })
  t.notOk(hasThread)
})

t.test('another site\'s page may not watch', async (t) => {
  const { app, target } = await serverFor(t, { ORIGINS: 'https://lab.example' })
  const { port } = target('http')
  for (const path of ['/ws/feed', '/ws/loop', '/ws/echo']) {
    const status = async (origin: string, host = `127.0.0.1:${port}`) => {
      const sent = request({ ...target('http'), path, headers: { origin, host, upgrade: 'websocket', connection: 'upgrade', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' } }).end()
      sent.once('upgrade', (_response, socket) => socket.destroy())
      const [response] = await Promise.race([once(sent, 'response'), once(sent, 'upgrade')])
      response.resume()
      return response.statusCode
    }
    t.equal(await status('https://evil.example'), path === '/ws/echo' ? 101 : 403, path)
    for (const host of [`127.0.0.1:${port}`, `[::1]:${port}`, `localhost:${port}`, hostname()]) t.equal(await status(`http://${host.toLowerCase()}`, host.toLowerCase()), 101, `${path} on ${host}`)
    t.equal(await status('https://lab.example'), 101, `${path}, an origin of ORIGINS`)
    // DNS rebinding: another name points at this server, and to the browser its page has the same origin.
    t.equal(await status(`http://evil.example:${port}`, `evil.example:${port}`), path === '/ws/echo' ? 101 : 403, `${path}, DNS rebinding`)
  }
  const pageAt = async (host: string) => (await app.inject({ url: '/', headers: { host } })).body
  t.match(await pageAt('name.example:5001'), '<code>ORIGINS=http://name.example:5001</code>', 'the page says what to do')
  t.match(await pageAt('name.example:5001'), /data-lesson="block" disabled>/, 'and its buttons rest')
  t.notMatch(await pageAt('name.example:5001'), /id="link"|Press Block/, 'that reason alone')
  for (const host of ['lab.example', '127.0.0.1:5001', '[::1]:5001', 'localhost']) t.notMatch(await pageAt(host), 'ORIGINS=', host)
})

t.test('a lesson works without a viewer, even if a service is full, and leaves nothing behind', async (t) => {
  const server = await serverFor(t, { TCP_MAX_CONNECTIONS: '1' })
  const holder = await connect(server.target('echo'))
  const began = performance.now()
  const { body } = await post<LessonResult>(server, '/api/lab/block?ms=300')
  t.ok(performance.now() - began < 5000)
  t.match(body.sentence, /: HTTP \d+ ms, WebSocket \d+ ms, UDP \d+ ms, TCP got no answer\.$/)
  await until(() => server.app.loop.probePeers.size === 0, 'the probe is gone')
  holder.destroy()
})

/** Resolves 20 ms after all protocols were pinged. The pings of a round come together, and the next round 100 ms later. */
async function betweenPings ({ app }: TestServer): Promise<void> {
  let left = 4
  await new Promise<void>((resolve) => {
    const unwatch = app.loop.watch({
      onPing () {
        if (--left > 0) return
        unwatch()
        resolve()
      },
      onSample () {},
      onLessonStarted () {},
      onLessonEnded () {}
    })
  })
  await setTimeout(20)
}

t.test('a lane that ends between two pings is reopened at once', async (t) => {
  const server = await serverFor(t)
  const first = await watcher(t, server)
  await until(() => first.pings().length > 8, 'the probe pings')
  // A lesson keeps the probe running when viewers are cut off.
  post(server, '/api/lab/wait?ms=2000').catch(() => {})
  await until(() => first.messages.some(({ type }) => type === 'lesson-started'), 'it runs')
  await betweenPings(server)
  server.app.connections.destroyAll()
  const { pings } = await watcher(t, server)
  const answered = (name: string) => pings().filter(({ transport, ms }) => transport === name && ms !== null).length
  await until(() => answered('udp') > 15, 'the others are pinged as ever')
  for (const name of ['http', 'websocket', 'tcp']) t.ok(answered(name) > answered('udp') / 3, `${name}: ${answered(name)} of ${answered('udp')}`)
})

t.test('one viewer too many is asked to come back later', async (t) => {
  const server = await serverFor(t, { WS_MAX_PER_ADDRESS: '60' })
  for (const path of ['/ws/feed', '/ws/loop']) {
    const sockets = await Promise.all(Array.from({ length: 50 }, () => connectWebSocket({ ...server.target('http'), path }, options)))
    const late = await connectWebSocket({ ...server.target('http'), path }, options)
    const [code, reason] = await once(late, 'close')
    t.equal(`${code} ${reason}`, '1013 too many viewers', path)
    t.equal(server.endpoint(path === '/ws/feed' ? 'ws-feed' : 'ws-loop').crossings.get('VIEWERS'), 1)
    for (const socket of sockets) socket.terminate()
  }
})

t.test('lessons', async (t) => {
  const server = await serverFor(t)
  const { messages } = await watcher(t, server)
  const teach = async (kind: string) => (await post<LessonResult>(server, `/api/lab/${kind}?ms=400`)).body

  await t.test('Block makes every protocol wait; Wait and Worker make none wait', async (t) => {
    const [block, wait, worker] = [await teach('block'), await teach('wait'), await teach('worker')]
    const waits = ({ waited }: LessonResult) => Object.values(waited) as number[]
    t.same(Object.keys(block.waited).sort(), ['http', 'tcp', 'udp', 'websocket'])
    t.ok(Math.min(...waits(block)) > 300, block.sentence)
    for (const other of [wait, worker]) {
      t.equal(waits(other).length, 4)
      t.ok(Math.max(...waits(other)) < Math.min(...waits(block)) / 2, other.sentence)
    }
    t.match(block.sentence, /^Your code held the only thread for 400 ms, so everybody waited: HTTP \d+ ms, WebSocket \d+ ms, TCP \d+ ms, UDP \d+ ms\.$/)
    t.match(wait.sentence, /^A timer waited for 400 ms while the loop went on serving: nobody waited longer than \d+ ms\.$/)
    await until(() => messages.filter(({ type }) => type === 'lesson-ended').length === 3, 'every viewer is told')
    t.match(messages.filter(({ type }) => type.startsWith('lesson')).map(({ type }) => type), ['lesson-started', 'lesson-ended', 'lesson-started', 'lesson-ended', 'lesson-started', 'lesson-ended'])
    t.ok(messages.some((message) => message.type === 'loop' && message.sample.max > 300), 'the delay shows it too')
    const started = messages.find((message) => message.type === 'lesson-started')?.lesson.at ?? 0
    for (const transport of ['http', 'websocket', 'tcp', 'udp']) {
      const waited = messages.flatMap((message) => message.type === 'loop' ? message.pings : []).filter((ping) => ping.transport === transport && ping.at >= started && ping.at < started + 390)
      t.ok(waited.length >= 3, `${transport}: ${waited.length} pings left while none was answered`)
    }
  })

  await t.test('run one at a time: another request is told when to retry', async (t) => {
    const first = post<LessonResult>(server, '/api/lab/wait?ms=1500')
    await until(() => messages.at(-1)?.type === 'lesson-started' || messages.slice(-5).some(({ type }) => type === 'lesson-started'), 'the first runs')
    const refused = await post(server, '/api/lab/block')
    t.match(refused, { status: 429, headers: { 'retry-after': /^[12]$/ }, body: { code: 'ERR_LAB_BUSY', message: /^Wait is running, and one lesson runs at a time: try again in [12] s$/ } })
    t.equal((await first).status, 200)
    t.equal((await post(server, '/api/lab/wait?ms=1')).status, 200)
  })

  await t.test('last at most 2 s, and start only for the server\'s own page or no page', async (t) => {
    for (const ms of ['0', '2001', 'x', '-1', '1e9', '1.5']) t.equal((await post(server, `/api/lab/block?ms=${ms}`)).status, 400, ms)
    const { port } = server.target('http')
    for (const origin of ['http://evil.example', 'null', `https://127.0.0.1:${port + 1}`, `http://localhost:${port}`]) {
      t.match(await post(server, '/api/lab/block', { origin }), { status: 403, body: { code: 'ERR_ORIGIN' } }, origin)
      t.match(await post(server, '/api/lab/run?service=time', { origin }), { status: 403 }, origin)
    }
    t.equal((await post(server, '/api/lab/block?ms=1', { origin: `http://127.0.0.1:${port}` })).status, 200)
    t.equal((await post(server, '/api/lab/block?ms=1', { origin: 'https://127.0.0.1', 'sec-fetch-site': 'same-origin' })).status, 200, 'behind a proxy that changes Host')
    t.equal((await post(server, '/api/lab/block?ms=1', { origin: 'https://evil.example', 'sec-fetch-site': 'cross-site' })).status, 403)
    for (const [site, status] of [['cross-site', 403], ['same-site', 403], ['same-origin', 200], ['none', 200]] as const) {
      t.equal((await post(server, '/api/lab/block?ms=1', { 'sec-fetch-site': site })).status, status, `${site}, without an Origin`)
    }
    for (const [host, origin, status] of [
      ['10.9.0.1:80', 'http://10.9.0.1', 200], ['[::1]:443', 'https://[::1]', 200], ['10.9.0.1', 'http://10.9.0.1', 200],
      ['10.9.0.1:80', 'https://10.9.0.1', 403], ['10.9.0.1:81', 'http://10.9.0.1', 403], ['10.9.0.1:80', 'http://10.9.0.2', 403]
    ] as const) {
      t.equal((await post(server, '/api/lab/block?ms=1', { host, origin })).status, status, `${origin} at ${host}`)
    }
  })
})

t.test('lessons may take at most a fifth of any minute', async (t) => {
  const budget = new LessonBudget()
  const take = (at: number, ms: number, kind: 'block' | 'wait' | 'worker' = 'block') => {
    budget.begin(kind, ms, at)
    budget.end()
  }
  for (let at = 0; at < 12_000; at += 2000) take(at, 2000, at % 4000 === 0 ? 'block' : 'worker')
  const refusal = (at: number, ms: number) => {
    try {
      take(at, ms)
    } catch (error) {
      return error
    }
  }
  t.match(refusal(12_000, 1), { code: 'ERR_LAB_BUDGET', retryMs: 48_000, message: 'Block has had its fifth of this minute: try again in 48 s' })
  t.ok(refusal(59_999, 1) instanceof LessonRefused)
  t.doesNotThrow(() => take(12_000, 2000, 'wait'), 'who waits spends nothing')
  t.doesNotThrow(() => take(60_000, 2000))
  t.match(refusal(60_000, 2000), { retryMs: 2000 })
  t.match(refusal(60_000, 2001 - 1), { statusCode: 429 })
})

t.test('a sentence describes the measurement', async (t) => {
  t.equal(sentence({ kind: 'block', ms: 500, waited: { http: 503.4, tcp: null } }), 'Your code held the only thread for 500 ms, so everybody waited: HTTP 503 ms, TCP got no answer.')
  t.equal(sentence({ kind: 'wait', ms: 500, waited: { http: 0.4, udp: 1.2 } }), 'A timer waited for 500 ms while the loop went on serving: nobody waited longer than 2 ms.')
  t.equal(sentence({ kind: 'worker', ms: 500, waited: {} }), 'Worker ran for 500 ms, but there was no probe to measure with.')
})

t.test('Run it', async (t) => {
  const server = await serverFor(t)
  const received = ({ segments }: Transcript) => Buffer.concat(segments.filter(({ direction }) => direction === 'received').map(({ hex }) => Buffer.from(hex, 'hex'))).toString()
  const count = ({ segments }: Transcript, direction: string) => segments.filter((one) => one.direction === direction && one.bytes > 0).length

  await t.test('runs a client against every service, and shows what went over the wire', async (t) => {
    for (const { name, port, example, transport } of server.app.endpoints) {
      const { status, body } = await post<RunResult>(server, `/api/lab/run?service=${name}&port=${port}`)
      t.equal(status, 200, name)
      t.equal(body.error, undefined, name)
      if (transport === 'http') t.match(received(body), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\n\{"status":"ok"\}$/s)
      else if (example.answer) t.match(received(body), example.answer, name)
      else t.match(body.segments.at(-1), { what: 'silence', ms: Number }, name)
      t.ok(body.events.every(({ peer }) => body.peers.includes(peer)), `${name}: the events of this run alone`)
      t.ok(body.events.some(({ type, service }) => service === name && type === (transport === 'udp' ? 'receive' : 'connect')), `${name} on the wire`)
      if (transport !== 'udp') t.equal(body.events.at(-1)?.type, 'close', name)
      if (transport === 'tcp') t.match(body.segments.at(-1), { direction: 'received', what: 'fin' })
      for (const [index, { ms }] of body.segments.entries()) t.ok(index === 0 || ms >= (body.segments[index - 1]?.ms ?? 0), 'in order')
    }
  })

  await t.test('shows that TCP has no message boundaries, and that WebSocket and UDP have', async (t) => {
    const echo = (await post<Transcript>(server, '/api/lab/run?service=echo')).body
    t.equal(count(echo, 'sent'), 3)
    t.ok(count(echo, 'received') < 3)
    for (const service of ['ws-echo', 'udp-echo']) {
      const { body } = await post<Transcript>(server, `/api/lab/run?service=${service}`)
      t.equal(count(body, 'sent'), 3)
      t.equal(count(body, 'received'), 3)
    }
  })

  await t.test('runs only against open services of this server', async (t) => {
    t.match(await post(server, '/api/lab/run?service=nothing'), { status: 404, body: { code: 'ERR_NO_SERVICE', message: 'no service "nothing" is open' } })
    t.equal((await post(server, '/api/lab/run?service=echo&port=22')).status, 404)
    t.equal((await post(server, '/api/lab/run')).status, 400)
    const { body } = await post<Transcript>(server, '/api/lab/run?service=echo&host=203.0.113.1&address=203.0.113.1')
    t.match(body.address, /^127\.0\.0\.1:/)
  })

  await t.test('says when a service is full, and runs on', async (t) => {
    const full = await serverFor(t, { TCP_MAX_CONNECTIONS: '1' })
    const holder = await connect(full.target('exchange'))
    for (let i = 0; i < 5; i++) {
      const { status, body } = await post<Transcript>(full, '/api/lab/run?service=exchange')
      t.equal(status, 200)
      t.match(body.error, /^(no answer from|lost|cannot connect to) 127\.0\.0\.1/)
    }
    holder.destroy()
    await until(() => full.endpoint('exchange').open === 0, 'there is room')
    t.equal((await post<Transcript>(full, '/api/lab/run?service=exchange')).body.error, undefined)
  })

  await t.test('ends every conversation in time', async (t) => {
    const silent = createServer(() => {}).listen(0, '127.0.0.1')
    const chatty = createServer({ allowHalfOpen: true }, (socket) => {
      const timer = setInterval(() => socket.write('more'), 20)
      socket.on('error', () => {}).once('close', () => clearInterval(timer)).resume()
    }).listen(0, '127.0.0.1')
    t.teardown(() => { silent.close(); chatty.close() })
    await Promise.all([once(silent, 'listening'), once(chatty, 'listening')])
    const curt = createServer((socket) => socket.end()).listen(0, '127.0.0.1')
    t.teardown(() => { curt.close() })
    await once(curt, 'listening')
    const began = performance.now()
    t.match(await play({ name: 'x', transport: 'tcp', example: { send: 'Hello', isGreeted: true } }, { host: '127.0.0.1', port: (curt.address() as AddressInfo).port }, 8000), { error: /^no answer from/ })
    t.ok(performance.now() - began < 4000, 'a service that ends without its greeting is not waited for')
    t.match(await play({ name: 'x', transport: 'websocket', path: '/ws/time', example: { send: 'Hello, world' } }, server.target('http'), 500), { error: /^no answer from .* within 0.5 s/ })
    t.ok(performance.now() - began < 8000)
    for (const [what, listener] of [['silent', silent], ['chatty', chatty]] as const) {
      const target = { host: '127.0.0.1', port: (listener.address() as AddressInfo).port }
      for (const [transport, isGreeted] of [['tcp', true], ['tcp', false], ['http', false], ['websocket', false]] as const) {
        const began = performance.now()
        const { error } = await play({ name: 'x', transport, path: '/', example: { send: 'Hello', answer: /x/, ...(isGreeted && { isGreeted }) } }, target, 300)
        t.ok(error, `${what} ${transport}`)
        t.ok(performance.now() - began < 2500, `${what} ${transport}`)
      }
    }
  })

  await t.test('runs at most four clients at a time', async (t) => {
    const answers = await Promise.all(Array.from({ length: 6 }, () => post(server, '/api/lab/run?service=listener')))
    t.same(answers.map(({ status }) => status).sort(), [200, 200, 200, 200, 429, 429])
    t.match(answers.find(({ status }) => status === 429), { headers: { 'retry-after': '3' }, body: { code: 'ERR_LAB_BUSY' } })
    t.equal((await post(server, '/api/lab/run?service=listener')).status, 200)
  })
})

t.test('LAB=off removes the buttons, Run it and the probe', async (t) => {
  const server = await serverFor(t, { LAB: 'off' })
  for (const path of ['block', 'wait', 'worker', 'run?service=echo']) t.equal((await post(server, `/api/lab/${path}`)).status, 404, path)
  const { body } = await server.app.inject('/')
  t.notMatch(body, /data-lesson|data-run|probe|run it|>Block<|api\/lab/i)
  const { messages, ticks } = await watcher(t, server)
  await until(() => ticks().length > 5, 'the loop is still sampled')
  t.match(messages[0], { type: 'hello', lanes: [] })
  t.equal(server.endpoint('echo').total, 0)
  t.same(ticks().flatMap(({ pings }) => pings), [])
})

t.test('a drain ends the probe and the viewers', async (t) => {
  const server = await serverFor(t)
  const { socket, pings } = await watcher(t, server)
  await until(() => pings().length > 8, 'the probe pings')
  const closed = once(socket, 'close')
  await server.app.close()
  t.equal((await closed)[0], 1001)
  t.notOk(process.getActiveResourcesInfo().includes('MessagePort'), 'its thread is gone')
  t.same(server.log.filter(({ level }) => level >= 40), [])
})
