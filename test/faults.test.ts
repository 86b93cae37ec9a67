/** Faults: clients that reset or vanish, a stopped process, a lack of descriptors, uncaught errors, signals, and datagram loops. */
import { spawn, spawnSync } from 'node:child_process'
import { createSocket, type Socket as UdpSocket } from 'node:dgram'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { Agent, get as httpGet } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import type { WebSocket } from 'ws'
import { buildApp } from '../src/app.ts'
import { get } from '../src/clients/http.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { loadConfig } from '../src/config/config.ts'
import { answersAll, closeAll, countAnswered, isAnswered, rawSocket } from './clients.ts'
import { frame } from './corpus-websocket.ts'
import { connect, ENV, FREE_PORTS, handshake, readAll, ROOT, run, serve, serverFor, settled, TALKATIVE, TIMEOUT_MS, until, without, type LogLine } from './support.ts'
import { vanishes, type Way } from './vanishing.ts'

const MIB = 1_048_576
const options = { timeoutMs: TIMEOUT_MS }

const HALF_REQUEST = 'POST /api/lab/wait HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n{'
/** Requests with 4 MiB of answers: more than the buffers of both kernels hold. */
const LARGE_ANSWERS = 'GET /assets/page.js HTTP/1.1\r\nHost: oneloop\r\n\r\n'.repeat(60)
/** The first five bytes of "Hello" in one masked frame (RFC 6455, section 5.7). */
const HALF_FRAME = Buffer.from('818537fa21', 'hex')

const write = (socket: Socket, data: Uint8Array | string) => new Promise((resolve) => { socket.write(data, resolve) })
/** Buffered tests mostly wait, so they run side by side. Each needs its own options object, because tap stores the test in it. */
t.jobs = 4

const isError = ({ level }: { level?: unknown }) => Number(level) >= 50

t.test('an RST', async (t) => {
  for (const hook of ['onRequest', 'preValidation'] as const) {
    await t.test(`and a malformed frame are survived while an asynchronous ${hook} hook of the upgrade runs`, async (t) => {
      const log: LogLine[] = []
      const app = await buildApp(loadConfig({}, FREE_PORTS), pino({}, { write: (line: string) => { log.push(JSON.parse(line) as LogLine) } }))
      const held: (() => void)[] = []
      app.addHook(hook, async ({ headers }) => {
        if (headers['x-hold'] !== undefined) await new Promise<void>((resolve) => { held.push(resolve) })
      })
      t.teardown(() => app.close())
      await app.ready()
      const find = (name: string) => app.endpoints.find((one) => one.name === name)
      const target = (name: string) => ({ host: '127.0.0.1', port: find(name)?.port ?? 0 })
      const release = () => { for (const resolve of held.splice(0)) resolve() }

      const reset = await connect(target('http'))
      reset.write(handshake('/ws/echo', 'X-Hold: 1\r\n'))
      await until(() => held.length === 1, 'the hook runs')
      reset.resetAndDestroy()
      await until(() => find('http')?.open === 0, 'the RST has come')
      release()
      await answersAll(t, target, 'after the RST')

      const malformed = Buffer.from([0xa2, 0x00]) // RSV2, which was not negotiated
      for (const isTogether of [true, false]) {
        const socket = await connect(target('http'))
        const answered = readAll(socket)
        const opening = Buffer.from(handshake('/ws/echo', 'X-Hold: 1\r\n'))
        await write(socket, isTogether ? Buffer.concat([opening, malformed]) : opening)
        await until(() => held.length === 1, 'the hook runs')
        if (!isTogether) await write(socket, malformed)
        release()
        const answer = await answered
        t.match(String(answer), /^HTTP\/1\.1 101 /)
        t.same([...answer.subarray(-4)], [0x88, 0x02, 0x03, 0xea], 'a close frame with 1002')
        socket.destroy()
        await answersAll(t, target, 'after the malformed frame')
      }

      const accepted = once(app.server, 'connection')
      const socket = await connect(target('http'))
      const [accepting] = await accepted as [Socket]
      const answered = readAll(socket)
      const opening = Buffer.from(handshake('/ws/echo', 'X-Hold: 1\r\n') + frame(1, 'with it'), 'latin1')
      const meanwhile = Buffer.from(frame(1, 'meanwhile'), 'latin1')
      await write(socket, opening)
      await until(() => held.length === 1, 'the hook runs')
      await write(socket, meanwhile)
      await until(() => accepting.bytesRead === opening.length + meanwhile.length, 'it was read')
      release()
      await write(socket, Buffer.from(frame(1, 'then') + frame(8, '\x03\xe8'), 'latin1'))
      t.equal((await answered).toString('latin1').split('\r\n\r\n')[1], '\x81\x07with it\x81\x09meanwhile\x81\x04then\x88\x02\x03\xe8', 'all that was said meanwhile is answered, in order')
      socket.destroy()
      await until(() => app.endpoints.every(({ open }) => open === 0), 'all are forgotten')
      t.equal(log.filter(({ reason }) => reason === 'WS_ERR_UNEXPECTED_RSV_2_3').length, 2)
      t.notOk(log.some(isError), 'nothing is logged as an error')
    })
  }

  await t.test('is survived within a body, within a large answer and between two requests', async (t) => {
    const { endpoint, target, log } = await serverFor(t, { HTTP_MAX_PIPELINED: '60' })
    const http = endpoint('http')
    const steps: Record<string, (socket: Socket) => Promise<unknown>> = {
      'within a body': async (socket) => {
        await write(socket, HALF_REQUEST)
        await until(() => http.open === 1, 'it is accepted')
      },
      'within a large answer': async (socket) => {
        const before = http.bytesOut
        socket.pause()
        await write(socket, LARGE_ANSWERS)
        await until(() => http.bytesOut > before, 'the answer begins')
      },
      'between two requests': async (socket) => {
        socket.write('GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n')
        await once(socket, 'data')
      }
    }
    for (const [when, step] of Object.entries(steps)) {
      const socket = await connect(target('http'))
      await step(socket)
      socket.resetAndDestroy()
      await until(() => http.open === 0, `the connection is forgotten ${when}`)
      // Within a body, Node.js's parser reports the missing rest first.
      t.match(log.at(-1), { msg: 'connection closed', reason: /^reset by client$|^HPE_INVALID_EOF_STATE$/ })
      await answersAll(t, target, `after an RST ${when}`)
    }
    t.notOk(log.some(isError), 'nothing is logged as an error')
  })

  await t.test('is survived in the middle of a WebSocket\'s closing handshake', async (t) => {
    const { endpoint, target, log } = await serverFor(t)
    const steps: Record<string, (socket: WebSocket) => Promise<unknown>> = {
      'half-way through the client\'s close frame': (socket) => write(rawSocket(socket), Buffer.from([0x88, 0x82, 1, 2])),
      'right behind the client\'s close frame': (socket) => write(rawSocket(socket), Buffer.from([0x88, 0x80, 1, 2, 3, 4])),
      'in place of the client\'s answer to a close frame': async (socket) => {
        const raw = rawSocket(socket)
        // The client library must not see the close frame and answer it.
        raw.removeAllListeners('data')
        raw.write(Buffer.from([0xa2, 0x80, 1, 2, 3, 4]))
        const [frame] = await once(raw, 'data') as [Buffer]
        t.same([...frame], [0x88, 0x02, 0x03, 0xea], 'the server\'s close frame')
      }
    }
    for (const [when, step] of Object.entries(steps)) {
      const socket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
      await step(socket)
      rawSocket(socket).resetAndDestroy()
      await until(() => endpoint('ws-echo').open === 0, `the client is forgotten, ${when}`)
      await answersAll(t, target, `after an RST ${when}`)
    }
    t.notOk(log.some(isError), 'nothing is logged as an error')
  })

  await t.test('is survived during a drain', async (t) => {
    const { app, endpoint, target, log } = await serverFor(t, { HTTP_MAX_PIPELINED: '60', DRAIN_MS: '30000' })
    const webSocket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
    webSocket.pause()
    const sockets = [rawSocket(webSocket)]
    const opened: [string, Uint8Array | string][] = [
      ['http', HALF_REQUEST], ['http', LARGE_ANSWERS], ['http', handshake('/ws/echo').slice(0, 40)], ['echo', Buffer.alloc(MIB)], ['sink', 'half']
    ]
    for (const [name, text] of opened) {
      const socket = await connect(target(name), { allowHalfOpen: true })
      socket.pause()
      socket.write(text)
      sockets.push(socket)
    }
    await until(() => endpoint('http').open === 3 && endpoint('echo').bytesIn > 0 && endpoint('sink').bytesIn === 4, 'all are under way')
    const closing = app.close()
    await until(() => !app.isReady(), 'the drain begins')
    for (const socket of sockets) socket.resetAndDestroy()
    const started = performance.now()
    await closing
    t.ok(performance.now() - started < 15_000, 'it waits for none of them')
    t.ok(app.endpoints.every(({ open }) => open === 0))
    t.notOk(log.some(isError), 'nothing is logged as an error')
  })
})

/** Stops a client's process: its kernel still acknowledges, but sends neither FIN nor RST. */
const stopped: Way = { prefix: [], host: '127.0.0.1', vanish: (child) => { child.kill('SIGSTOP') }, restore: () => {} }

t.test('a client that stands still without a FIN or an RST', { buffered: true }, (t) => vanishes(t, stopped))

t.test('a server that is stopped for longer than its limits and then continued loses nobody, answers everything, and drains', { buffered: true, skip: process.platform === 'win32' && 'without SIGSTOP' }, async (t) => {
  const PAUSE_MS = 6000
  const { child, lines, target } = await serve(t, { TCP_IDLE_MS: '5000', WS_PING_MS: '2500' })
  const at = { ...target('http'), path: '/ws/echo' }
  let ended = 0
  const hasEnded = () => { ended++ }

  // Each sender says something every half second: before, during and after the pause.
  const webSockets = await Promise.all([1, 2, 3].map(() => connectWebSocket(at, options)))
  const sockets = await Promise.all([1, 2, 3].map(() => connect(target('echo'))))
  const udp = createSocket('udp4')
  const agent = new Agent({ keepAlive: true })
  let sent = 0
  let answered = 0
  for (const webSocket of webSockets) webSocket.on('message', () => { answered++ }).on('close', hasEnded)
  for (const socket of sockets) socket.on('data', (chunk) => { answered += chunk.length }).on('close', hasEnded)
  udp.on('message', () => { answered++ })
  const say = () => {
    for (const webSocket of webSockets) webSocket.send('x')
    for (const socket of sockets) socket.write('x')
    httpGet({ ...target('http'), path: '/healthz', agent }, (response) => {
      response.resume().on('end', () => { answered++ })
    }).on('error', hasEnded)
    sent += 7
  }
  const timers = [
    setInterval(say, 500),
    // As many as one address may send.
    setInterval(() => { udp.send('x', target('udp-echo').port, '127.0.0.1'); sent++ }, 1000)
  ]
  t.teardown(() => {
    timers.forEach(clearInterval)
    for (const socket of [...webSockets.map(rawSocket), ...sockets, agent, udp.close()]) if ('destroy' in socket) socket.destroy()
  })
  say()

  // These two clients answer in time, but the server is stopped meanwhile.
  const slow = await connectWebSocket(at, options)
  slow.on('close', hasEnded)
  // The library's own pong might reach the server before the pause, so it is sent by hand.
  ;(slow as unknown as { _autoPong: boolean })._autoPong = false
  const late = await connect(target('echo'))
  late.on('close', hasEnded)
  await once(slow, 'ping')
  child.kill('SIGSTOP')
  slow.pong()
  late.write('x')
  late.on('data', () => { answered++ })
  sent++
  const before = await settled(() => answered)
  // A real pause: there is no event to wait for.
  await delay(PAUSE_MS)
  t.equal(answered, before, 'it was stopped')
  ;(slow as unknown as { _autoPong: boolean })._autoPong = true
  timers.forEach(clearInterval)
  say()
  child.kill('SIGCONT')
  await until(() => answered === sent || ended > 0, 'everything is answered')
  t.equal(ended, 0, 'nobody is lost')
  t.equal(answered, sent, 'everything is answered')
  await answersAll(t, target, 'after the pause')
  await once(slow, 'ping')
  t.equal(ended, 0, 'nobody is lost at the next heartbeat either')

  child.kill('SIGTERM')
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.equal(lines.at(-1)?.msg, 'stopped')
  t.same(lines.filter(({ reason }) => /_MS$/.test(String(reason))), [], 'no limit of time was crossed')
})

t.test('an uncaught error', { buffered: true }, async (t) => {
  const faults = { 'a throw': 'throw new Error("boom")', 'a rejected promise': 'Promise.reject(new Error("boom"))' }
  for (const [name, fault] of Object.entries(faults)) {
    await t.test(`${name} is logged with its stack, and ends the process with 1 within DRAIN_MS`, async (t) => {
      const preload = `data:text/javascript,${encodeURIComponent(`process.on('SIGWINCH', () => { ${fault} })`)}`
      const { child, lines, target } = await serve(t, { DRAIN_MS: '5000', WS_CLOSE_MS: '60000' }, { node: ['--import', preload] })
      const deaf = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
      deaf.pause()
      await answersAll(t, target, 'before')
      const started = performance.now()
      child.kill('SIGWINCH')
      const [code] = await once(child, 'close')
      t.equal(code, 1)
      t.ok(performance.now() - started < 5000, 'soon')
      t.match(lines.find(({ level }) => level === 60), { msg: 'uncaught error: exiting', err: { message: 'boom', stack: /^Error: boom\n +at / } })
      t.equal(lines.at(-1)?.msg, 'stopped')
      deaf.terminate()
    })
  }
})

t.test('without descriptors', { buffered: true }, async (t) => {
  const CLIENTS = 60

  await t.test('clients are dropped, and served again once descriptors are free', { skip: without('prlimit') }, async (t) => {
    const { pid, lines, target } = await serve(t)
    const limitFiles = (count: number) => t.equal(spawnSync('prlimit', [`--pid=${pid}`, `--nofile=${count}:`]).status, 0)
    const old = await connect(target('echo'))
    old.write('x')
    await once(old, 'data')
    limitFiles(readdirSync(`/proc/${pid}/fd`).length + 10)
    const { answered, sockets } = await countAnswered(target('echo'), CLIENTS)
    t.ok(answered > 0 && answered < CLIENTS, `${answered} of ${CLIENTS} were served`)
    old.write('x')
    t.ok(await isAnswered(old), 'who was there is served on')
    t.equal(String(await sendDatagram(target('udp-echo'), Buffer.from('x'), options)), 'x')
    await until(() => lines.some(({ level, msg }) => level === 50 && /^out of file descriptors/.test(String(msg))), 'the log says so')
    limitFiles(1024)
    await until(() => lines.some(({ msg }) => msg === 'file descriptors are free again'), 'and when some are free again')
    await answersAll(t, target, 'once descriptors are free again')
    const { body } = await get(target('http'), '/metrics', TIMEOUT_MS)
    t.match(body, /^oneloop_limits_crossed_total\{service="process",limit="descriptors"\} [1-9]/m)
    closeAll([...sockets, old])
  })

  await t.test('it starts, drops clients for which it has no descriptor, and serves on', { skip: process.platform === 'win32' && 'without ulimit' }, async (t) => {
    // With fewer, Node.js cannot load the program's files, many of which it opens at once.
    const { child, lines, target } = await serve(t, { TCP_MAX_PER_ADDRESS: '256' }, { before: 'ulimit -n 200' })
    const lowered = lines.find(({ msg }) => /connection limits lowered/.test(String(msg)))
    t.match(lowered, { level: 40, HTTP_MAX_CONNECTIONS: Number, WS_MAX_CONNECTIONS: Number, TCP_MAX_CONNECTIONS: Number, descriptors: 200 })
    const { answered, sockets } = await countAnswered(target('echo'), 200)
    t.equal(answered, lowered?.TCP_MAX_CONNECTIONS, `${answered} of 200 were served`)
    closeAll(sockets)
    await until(async () => (await countAnswered(target('time'), 1)).answered === 1, 'the places are free again')
    await answersAll(t, target, 'once the others have gone')
    child.kill('SIGTERM')
    const [code] = await once(child, 'close')
    t.equal(code, 0)
    t.equal(lines.at(-1)?.msg, 'stopped')
  })

  await t.test('the start fails if limits that were set do not fit, or if descriptors are too few to load the program', { skip: process.platform === 'win32' && 'without ulimit' }, async (t) => {
    const set = await run(['serve'], { env: { ...FREE_PORTS, WS_MAX_CONNECTIONS: '500' }, before: 'ulimit -n 256' })
    t.equal(set.code, 1)
    t.match(set.stderr, /^oneloop: cannot start:\n {2}HTTP_MAX_CONNECTIONS=500, WS_MAX_CONNECTIONS=500, .*: this process may have 256 file descriptors open, .*ulimit -n\n$/)
    // Node.js 20 cannot load the program with so few; later versions open its files one after another.
    const few = await run(['serve'], { env: FREE_PORTS, before: 'ulimit -n 40' })
    t.equal(few.code, 1)
    t.match(few.stderr, /^oneloop: (too few file descriptors to load the program: allow at least 256 with ulimit -n|cannot start:\n[^\n]*may have 40 file descriptors[^\n]*ulimit -n)\n$/)
  })
})

t.test('the server serves on when the reader of its log has gone', { buffered: true }, async (t) => {
  const { child, target } = await serve(t, { LOG_LEVEL: 'debug' })
  child.stdout?.destroy()
  await answersAll(t, target, 'with nobody to write to')
  await answersAll(t, target, 'after the failed write')
  child.kill('SIGTERM')
  const [code] = await once(child, 'exit')
  t.equal(code, 0)
})

t.test('a log that nobody reads holds up nobody, and a bounded part of it is kept', { buffered: true }, async (t) => {
  const { child, lines, target } = await serve(t, { ...TALKATIVE, UDP_RATE: '1000000', UDP_BURST: '1000000', UDP_TOTAL_RATE: '1000000' })
  child.stdout?.pause()
  const { port } = target('listener')
  const sender = createSocket('udp4')
  t.teardown(() => { sender.close() })
  // Each datagram makes a log line of a kilobyte: every byte is escaped.
  const message = Buffer.alloc(160, 1)
  const SENT = 16_000
  for (let sent = 0; sent < SENT; sent += 50) {
    for (let i = 0; i < 50; i++) sender.send(message, port, '127.0.0.1')
    // Once this is answered, earlier datagrams are in the log or dropped.
    if (sent % 1000 === 0) await answersAll(t, target, 'meanwhile')
    else await delay(2)
  }
  child.stdout?.resume()
  const received = () => lines.filter(({ service, msg }) => service === 'listener' && /^Received/.test(String(msg)))
  const bytesOf = (count: number) => count * JSON.stringify(received()[0]).length
  // On a busy machine they come with long pauses.
  await until(() => received().length > 0 && bytesOf(received().length) > 2 * MIB, 'the lines that were kept come')
  const kept = await settled(() => received().length)
  const bytes = bytesOf(kept)
  t.ok(bytes > 2 * MIB && bytes < 8 * MIB, `${kept} lines of ${bytes} bytes`)
})

t.test('lines that come during a write are written too', { buffered: true }, async (t) => {
  // More than a pipe holds, so the write lasts until somebody reads. Standard error says when the last line was passed to the log.
  const script = (end: string) => `
    const { createLogger } = await import('./dist/log/logger.js')
    const log = createLogger('info', false)
    for (let i = 0; i < 400; i++) log.info('x'.repeat(1000))
    setTimeout(() => log.info('late'), 100)
    setTimeout(() => { console.error('said'); ${end} }, 200)
    setTimeout(() => process.exit(1), ${TIMEOUT_MS}).unref()`
  for (const [title, end] of [['in passing', 'process.stdin.resume()'], ['at the end', 'log.flush()']] as const) {
    const child = spawn(process.execPath, ['--input-type=module', '-e', script(end)], { cwd: ROOT, env: ENV })
    t.teardown(() => { child.kill('SIGKILL') })
    await once(child.stderr, 'data')
    let text = ''
    child.stdout.setEncoding('utf8').on('data', (more: string) => { text += more })
    await until(() => text.includes('"late"'), `the last line, ${title}`)
    t.equal(text.trim().split('\n').length, 401, title)
  }
})

t.test('SIGTERM in the middle of everything ends it with 0 within DRAIN_MS', { buffered: true }, async (t) => {
  const DRAIN_MS = 8000
  const { child, lines, target } = await serve(t, { DRAIN_MS: String(DRAIN_MS), WS_CLOSE_MS: '60000', HTTP_MAX_PIPELINED: '60', UDP_RATE: '1000', UDP_BURST: '1000' })
  const sockets: Socket[] = []
  const talk = async (name: string, data?: Uint8Array | string) => {
    const socket = await connect(target(name), { allowHalfOpen: true })
    sockets.push(socket)
    if (data !== undefined) socket.write(data)
    return socket
  }
  // An unfinished request, frame or message of each kind.
  await talk('http', 'GET / HTTP/1.1\r\nHost: one')
  await talk('http', HALF_REQUEST)
  await talk('http', handshake('/ws/echo').slice(0, 60))
  for (const name of ['echo', 'echo-once', 'exchange', 'greeting', 'time']) await talk(name)
  for (const path of ['/ws/echo', '/ws/time', '/ws/feed', '/ws/loop']) {
    const webSocket = await connectWebSocket({ ...target('http'), path }, options)
    sockets.push(rawSocket(webSocket))
    if (path === '/ws/echo') await write(rawSocket(webSocket), HALF_FRAME)
    // Its close frame is never answered.
    if (path === '/ws/time') webSocket.pause()
  }
  // Answers that nobody reads.
  ;(await talk('http', LARGE_ANSWERS)).pause()
  ;(await talk('echo', Buffer.alloc(16 * MIB))).pause()
  // Floods: a stream into sink, and datagrams.
  const flood = await talk('sink')
  const block = Buffer.alloc(65_536)
  const more = () => { while (flood.writable && flood.write(block)); }
  flood.on('drain', more)
  more()
  const udp = createSocket('udp4')
  let datagrams = 0
  udp.on('message', () => { datagrams++ })
  const timer = setInterval(() => {
    for (let i = 0; i < 20; i++) udp.send('flood', target('udp-echo').port, '127.0.0.1')
  }, 5)
  t.teardown(() => {
    clearInterval(timer)
    udp.close()
    closeAll(sockets)
  })
  const lesson = await talk('http', 'POST /api/lab/worker?ms=2000 HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 0\r\n\r\n')
  const visitor = await talk('http')
  await until(() => flood.bytesWritten > MIB && datagrams > 10 && lesson.bytesWritten > 0, 'everything is under way')
  visitor.write('POST /api/lab/run?service=echo HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 0\r\n\r\n')

  child.kill('SIGTERM')
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  const last = lines.at(-1)
  t.equal(last?.msg, 'stopped')
  const ms = Number(last?.time) - Number(lines.find(({ msg }) => msg === 'draining')?.time)
  t.ok(ms < DRAIN_MS, `after ${ms} ms`)
  t.same(lines.filter(isError), [], 'nothing is logged as an error')
})

/** Binds a UDP socket to `port`, or to a free one; undefined if the port cannot be bound. */
async function bindUdp (t: Test, port = 0): Promise<UdpSocket | undefined> {
  const socket = createSocket('udp4')
  socket.bind(port, '127.0.0.1')
  const isBound = await new Promise((resolve) => { socket.once('listening', () => resolve(true)).once('error', () => resolve(false)) })
  t.teardown(() => { if (isBound) socket.close() })
  return isBound ? socket : undefined
}

t.test('datagrams', { buffered: true }, async (t) => {
  const BURST = 20

  await t.test('between another echo service and ours do not loop for ever', async (t) => {
    const server = await serverFor(t, { UDP_RATE: '1', UDP_BURST: String(BURST) })
    const echo = server.endpoint('udp-echo')
    // Like inetd's echo service, it sends everything back.
    const foreign = await bindUdp(t) as UdpSocket
    let heard = 0
    let bytes = 0
    foreign.on('message', (message, { port, address }) => {
      heard++
      bytes += message.length
      // Stops an endless loop early; the assertions below then fail.
      if (heard <= 10 * BURST) foreign.send(message, port, address)
    })
    foreign.send('Hello', server.target('udp-echo').port, '127.0.0.1')
    await settled(() => heard)
    t.ok(heard > 0 && heard <= BURST, `it died after ${heard} answers`)
    t.equal(bytes, heard * 5, 'none of them larger')
    t.equal(echo.total, heard + 1, 'one more came in than went out')
    t.equal(echo.refused, 1)
  })

  await t.test('between two of our echo services do not loop for ever', { skip: process.platform === 'win32' && 'without SIGSTOP' }, async (t) => {
    const first = await serve(t, { UDP_RATE: '1', UDP_BURST: String(BURST) })
    // While the first server is stopped, it gets a datagram from the port that the second one then takes.
    first.child.kill('SIGSTOP')
    const spoofed = createSocket('udp4')
    spoofed.bind(0, '127.0.0.1')
    await once(spoofed, 'listening')
    const { port } = spoofed.address()
    await new Promise((resolve) => { spoofed.send('Hello', first.port('udp-echo'), '127.0.0.1', resolve) })
    spoofed.close()
    await once(spoofed, 'close')
    const second = await serverFor(t, { UDP_ECHO_PORT: String(port), UDP_RATE: '1', UDP_BURST: String(BURST) })
    const echo = second.endpoint('udp-echo')
    first.child.kill('SIGCONT')
    await until(() => echo.total > 0, 'the first one answers')
    // Stops an endless loop early; the assertions below then fail.
    second.app.feed.subscribe(() => { if (echo.total > 10 * BURST) first.child.kill('SIGKILL') })
    await settled(() => echo.total)
    t.ok(echo.total <= BURST, `it died after ${echo.total} answers`)
    t.ok(echo.bytesOut <= echo.bytesIn, 'never more out than in')
    first.child.kill('SIGKILL')
  })

  await t.test('from echo, chargen and DNS get no answer, and are counted', async (t) => {
    const { target, endpoint } = await serverFor(t)
    const sockets = (await Promise.all([7, 19, 53].map((port) => bindUdp(t, port)))).filter((socket) => socket !== undefined)
    if (sockets.length === 0) {
      t.pass('ports 7, 19 and 53 cannot be had here', { skip: true })
      return
    }
    let answers = 0
    for (const socket of sockets) {
      socket.on('message', () => { answers++ })
      socket.send('Hello', target('udp-echo').port, '127.0.0.1')
    }
    await until(() => endpoint('udp-echo').refused === sockets.length, 'they are counted')
    t.equal(endpoint('udp-echo').bytesOut, 0)
    t.equal(answers, 0)
  })

  await t.test('get at most one answer, and no larger one', async (t) => {
    const { target, endpoint } = await serverFor(t, { UDP_BURST: '100' })
    const socket = await bindUdp(t) as UdpSocket
    const sizes = [0, 1, 2, 512, 1471, 1472, 1473, 9000, 65_507]
    const answers: number[] = []
    socket.on('message', ({ length }) => answers.push(length))
    for (const size of sizes) {
      for (const name of ['udp-echo', 'listener']) socket.send(Buffer.alloc(size), target(name).port, '127.0.0.1')
    }
    await until(() => endpoint('udp-echo').total === sizes.length && endpoint('listener').total === sizes.length, 'all have come')
    await settled(() => answers.length)
    t.same(answers.sort((a, b) => a - b), sizes.filter((size) => size <= 1472))
    t.equal(endpoint('udp-echo').bytesOut, answers.reduce((sum, size) => sum + size, 0))
  })
})
