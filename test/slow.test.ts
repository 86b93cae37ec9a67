/** Clients that are slow, never read, or attack: each is ended by its limit, and all others are served. */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect as connectSocket, type Socket } from 'node:net'
import { Worker } from 'node:worker_threads'
import t from 'tap'
import { listServices, type Checked, type Listed } from '../src/clients/check.ts'
import { askAll, askMeanwhile } from './clients.ts'
import { connect, handshake, serve, serverFor, TALKATIVE, TIMEOUT_MS, until } from './support.ts'

const MIB = 1_048_576

t.test('a client that sends a byte at a time and never finishes is ended by its limit', async (t) => {
  const BYTE_MS = 40
  const { app, target, log } = await serverFor(t, {
    PROFILE: 'bench', HTTP_HEADERS_MS: '600', HTTP_REQUEST_MS: '1200', WS_PING_MS: '400', TCP_LIFE_MS: '1000', TCP_FIN_MS: '700'
  })
  const drips: { name: string, service: string, first: string | Buffer, byte: string, limit: RegExp }[] = [
    { name: 'headers', service: 'http', first: 'GET / HTTP/1.1\r\nHost: oneloop\r\nX: ', byte: 'x', limit: /HTTP_HEADERS_MS|REQUEST_TIMEOUT/ },
    { name: 'body', service: 'http', first: 'POST / HTTP/1.1\r\nHost: oneloop\r\nContent-Type: text/plain\r\nContent-Length: 9999\r\n\r\n', byte: 'x', limit: /HTTP_REQUEST_MS|REQUEST_TIMEOUT/ },
    { name: 'frame', service: 'ws-echo', first: Buffer.concat([Buffer.from(handshake('/ws/echo')), Buffer.from('82fe270f00000000', 'hex')]), byte: 'x', limit: /WS_PING_MS/ },
    { name: 'frame header', service: 'ws-time', first: Buffer.concat([Buffer.from(handshake('/ws/time')), Buffer.of(0x82)]), byte: '', limit: /WS_PING_MS/ },
    { name: 'fragments', service: 'ws-echo', first: Buffer.concat([Buffer.from(handshake('/ws/echo')), Buffer.from('028000000000', 'hex')]), byte: '\u0000\u0080\u0000\u0000\u0000\u0000', limit: /WS_PING_MS/ },
    { name: 'stream', service: 'echo', first: '', byte: 'x', limit: /TCP_LIFE_MS/ },
    { name: 'stream', service: 'sink', first: '', byte: 'x', limit: /TCP_LIFE_MS/ },
    { name: 'rest', service: 'exchange', first: 'Hello', byte: 'x', limit: /TCP_FIN_MS/ }
  ]
  const over = Promise.all(drips.map(async ({ name, service, first, byte, limit }) => {
    const socket = await connect(target(service), { allowHalfOpen: true })
    const peer = `127.0.0.1:${socket.localPort}`
    const closed = new Promise((resolve) => { socket.once('close', resolve) })
    socket.resume()
    socket.write(first)
    const drip = setInterval(() => { if (byte !== '') socket.write(byte, 'latin1') }, BYTE_MS)
    t.teardown(() => { clearInterval(drip); socket.destroy() })
    const line = () => log.find((one) => one.msg === 'connection closed' && one.service === service && one.peer === peer)
    await until(() => line() !== undefined, `${service} ends the ${name}`)
    clearInterval(drip)
    t.match(String(line()?.reason), limit, `${service}: ${name}`)
    socket.destroy()
    await closed
  }))
  const { rounds, wrong } = await askMeanwhile(app.endpoints, over)
  t.same(wrong, [], `every service answered in each of ${rounds} rounds`)
})

/** Resident memory of a process; NaN if the system does not report it. */
function residentBytes (pid: number): number {
  return process.platform === 'linux' ? Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024 : NaN
}

/** Writes `bytes` as fast as the other side takes them. Resolves once all are taken, or the connection is gone. */
async function offer (socket: Socket, block: Buffer, bytes: number): Promise<void> {
  for (let left = bytes; left > 0 && !socket.destroyed; left -= block.length) {
    if (!socket.write(block)) await new Promise<void>((resolve) => { socket.once('drain', resolve).once('close', () => resolve()) })
  }
}

t.test('a client that never reads costs little memory, holds up nobody, and is ended by its limit', async (t) => {
  const READERS = 3
  const OFFERED = 64 * MIB
  /** Allowed growth for all readers together, which offer 192 MiB to each service. */
  const MAX_GROWTH = 160 * MIB
  const { pid, lines, target } = await serve(t, {
    ...TALKATIVE,
    // Just enough for the light client.
    HTTP_RATE: '200',
    HTTP_BURST: '200',
    UDP_RATE: '100',
    UDP_BURST: '100',
    HTTP_IDLE_MS: '1500',
    HTTP_KEEP_ALIVE_MS: '1500',
    WS_PING_MS: '700',
    TCP_IDLE_MS: '1500',
    TCP_FIN_MS: '1500'
  })
  const listed = await listServices(target('http'), TIMEOUT_MS)
  t.ok((await askAll(listed)).every(({ result }) => result === 'ok'), 'all services answer before')
  const before = residentBytes(pid)
  let peak = before

  const payload = Buffer.alloc(65_535, 'oneloop ')
  // A mask of zeros leaves the payload as it is (RFC 6455, section 5.3).
  const frame = Buffer.concat([Buffer.from('82feffff00000000', 'hex'), payload])
  const get = Buffer.from('GET /assets/page.js HTTP/1.1\r\nHost: oneloop\r\n\r\n'.repeat(100))
  const names = [...new Set(listed.filter(({ transport }) => transport !== 'udp').map(({ name }) => name))]
  const over = Promise.all(names.flatMap((name) => Array.from({ length: READERS }, async () => {
    const { transport, path, port } = listed.find((one) => one.name === name) as Listed
    // An address for each service: readers of HTTP must not use up the places of WebSockets or of the light client.
    const address = `127.0.0.${10 + names.indexOf(name)}`
    const socket = connectSocket({ host: '127.0.0.1', port: port ?? 0, localAddress: address, allowHalfOpen: true })
    socket.on('error', () => {})
    t.teardown(() => { socket.destroy() })
    await once(socket, 'connect')
    socket.pause()
    const peer = `${address}:${socket.localPort}`
    if (transport === 'websocket') socket.write(handshake(path ?? ''))
    const offered = transport === 'http'
      ? offer(socket, get, get.length * 9)
      : transport === 'tcp' ? offer(socket, payload, OFFERED) : name === 'ws-echo' ? offer(socket, frame, OFFERED) : Promise.resolve()
    const line = () => lines.find((one) => one.msg === 'connection closed' && one.service === name && one.peer === peer)
    await until(() => {
      peak = Math.max(peak, residentBytes(pid))
      return line() !== undefined
    }, `a reader of ${name} is ended`)
    // HTTP answers 32 requests, refuses the next one, and is done once the kernel has taken all answers.
    t.match(String(line()?.reason), name === 'http' ? /HTTP_IDLE_MS|HTTP_KEEP_ALIVE_MS|^closed by service$/ : /WS_PING_MS|WS_MAX_UNSENT_BYTES|TCP_IDLE_MS|TCP_FIN_MS|reset by client/, `${name}: ${line()?.reason}`)
    socket.destroy()
    await offered
  })))
  const { rounds, wrong } = await askMeanwhile(listed, over)
  t.same(wrong, [], `every service answered in each of ${rounds} rounds`)
  t.comment(`resident memory before: ${before}, at most ${peak}`)
  t.ok(Number.isNaN(before) || peak - before < MAX_GROWTH, `${peak - before} bytes more, at most`)
})

/** Attacks. Each runs from its source text on its own thread and address, until the thread ends. */
const attacks: Record<string, { service: string, run: (port: number) => void }> = {
  'connections at its cap and above, churned': {
    service: 'echo',
    run (port) {
      const { connect } = process.getBuiltinModule('node:net')
      const again = () => {
        const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
        socket.on('error', () => {}).on('close', () => setTimeout(again, 2)).on('connect', () => setTimeout(() => socket.resetAndDestroy(), 300))
        socket.resume().write('x')
      }
      for (let i = 0; i < 80; i++) again()
    }
  },
  'a flood of messages': {
    service: 'ws-echo',
    run (port) {
      const { connect } = process.getBuiltinModule('node:net')
      // "Hello" in one masked frame (RFC 6455, section 5.7), over and over.
      const frames = Buffer.from('818537fa213d7f9f4d5158'.repeat(1000), 'hex')
      const again = () => {
        const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
        const more = () => { while (socket.write(frames)); }
        socket.on('error', () => {}).on('close', () => setTimeout(again, 2)).on('drain', more)
        socket.write('GET /ws/echo HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
        socket.resume()
        more()
      }
      for (let i = 0; i < 10; i++) again()
    }
  },
  'a flood of datagrams': {
    service: 'udp-echo',
    run (port) {
      const socket = process.getBuiltinModule('node:dgram').createSocket('udp4')
      socket.bind(0, '127.0.0.2', () => {
        setInterval(() => { for (let i = 0; i < 100; i++) socket.send('x'.repeat(1000), port, '127.0.0.1', () => {}) }, 1)
      })
    }
  },
  'a flood of requests': {
    service: 'http',
    run (port) {
      const { connect } = process.getBuiltinModule('node:net')
      const again = () => {
        const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
        const ask = () => socket.write('GET / HTTP/1.1\r\nHost: oneloop\r\n\r\n'.repeat(10))
        let answers = 0
        // At most ten in flight: the server handles one read in one turn of its loop.
        const count = (chunk: Buffer) => {
          answers += chunk.toString('latin1').split('HTTP/1.1 ').length - 1
          if (answers < 10) return
          answers -= 10
          ask()
        }
        socket.on('error', () => {}).on('close', () => setTimeout(again, 2)).on('data', count).on('connect', ask)
      }
      for (let i = 0; i < 20; i++) again()
    }
  },
  'streams at full speed': {
    service: 'sink',
    run (port) {
      const { connect } = process.getBuiltinModule('node:net')
      const block = Buffer.alloc(1_048_576)
      const again = () => {
        const socket = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' })
        const more = () => { while (socket.write(block)); }
        socket.on('error', () => {}).on('close', () => setTimeout(again, 2)).on('drain', more).on('connect', more)
      }
      for (let i = 0; i < 4; i++) again()
    }
  }
}

t.test('while one service is attacked at its cap, all others answer', async (t) => {
  const ROUNDS = 10
  const MEASURE_MS = 1000
  const { target } = await serve(t, {
    // The light client sends its requests in quick succession.
    HTTP_RATE: '200', HTTP_BURST: '400', UDP_RATE: '200', UDP_BURST: '400', TCP_MAX_PER_ADDRESS: '100', TCP_MAX_CONNECTIONS: '50', SHED_DELAY_MS: '60000'
  })
  const http = target('http')
  const list = async () => await listServices(http, TIMEOUT_MS)
  const listed = await list()

  /** The median round trip of each service, in milliseconds. */
  async function measure (services: readonly Listed[]): Promise<{ rounds: number, wrong: Checked[], medians: Map<string, number> }> {
    const all: Checked[] = []
    const until = performance.now() + MEASURE_MS
    let rounds = 0
    do all.push(...await askAll(services)); while (++rounds < ROUNDS && performance.now() < until)
    const medians = services.map(({ name }): [string, number] => {
      const sorted = all.filter((one) => one.name === name).map(({ ms }) => ms ?? NaN).sort((a, b) => a - b)
      return [name, sorted[sorted.length >> 1] ?? NaN]
    })
    return { rounds, wrong: all.filter(({ result }) => result !== 'ok'), medians: new Map(medians) }
  }
  const alone = await measure(listed)
  t.same(alone.wrong, [])

  for (const [attack, { service, run }] of Object.entries(attacks)) {
    await t.test(`${service}: ${attack}`, async (t) => {
      const { port, total: before = 0 } = listed.find(({ name }) => name === service) as Listed
      const bytesIn = async () => (await list() as (Listed & { bytesIn: number, refused: number })[]).find(({ name }) => name === service)
      const start = await bytesIn()
      const worker = new Worker(`(function ${run})(${port})`, { eval: true, execArgv: [], env: {} })
      t.teardown(() => worker.terminate())
      await until(async () => {
        const now = await bytesIn()
        return (now?.bytesIn ?? 0) + (now?.refused ?? 0) > (start?.bytesIn ?? 0) + (start?.refused ?? 0) + 1000
      }, `${service} is attacked`)
      const { rounds, wrong, medians } = await measure(listed.filter(({ name }) => name !== service))
      const end = await bytesIn()
      await worker.terminate()
      t.same(wrong, [], 'every answer was right')
      t.comment(`${service}, ${attack}: ${rounds} rounds, ${(end?.total ?? 0) - before} connections or datagrams, ${end?.refused} refused, ${end?.bytesIn} bytes in`)
      for (const [name, ms] of medians) t.comment(`  ${name}: ${ms.toFixed(2)} ms, alone ${alone.medians.get(name)?.toFixed(2)} ms: × ${(ms / (alone.medians.get(name) ?? NaN)).toFixed(1)}`)
    })
  }
  t.ok((await askAll(listed)).every(({ result }) => result === 'ok'), 'and afterwards all do')
})
