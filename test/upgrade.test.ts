/** Clients that do several things at once: a FIN with the handshake, bytes after the last request, an upgrade behind a request. */
import { once } from 'node:events'
import type { Socket } from 'node:net'
import t from 'tap'
import type { Values } from '../src/config/config.ts'
import { frameBytes } from './corpus-websocket.ts'
import { connect, handshake, readAll, serverFor, settled, TIMEOUT_MS, until } from './support.ts'

const [TEXT, CLOSE, PING] = [0x1, 0x8, 0x9]
const BYE = frameBytes(CLOSE, Buffer.from([0x03, 0xe8]))
/** A server's frame, which is not masked. */
const ECHO = Buffer.from('\x81\x05Hello', 'latin1')
const BYE_BACK = Buffer.from('880203e8', 'hex')

t.test('fifteen WebSocket clients whose FIN comes with their handshake, message and close frame get their 101, echo and close frame', async (t) => {
  const server = await serverFor(t)
  const answers = await Promise.all(Array.from({ length: 15 }, async () => {
    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.end(Buffer.concat([Buffer.from(handshake('/ws/echo')), frameBytes(TEXT, 'Hello'), BYE]))
    return await received
  }))
  for (const answer of answers) {
    const head = answer.indexOf('\r\n\r\n') + 4
    t.match(answer.subarray(0, head).toString(), /^HTTP\/1\.1 101 /)
    t.same(answer.subarray(head), Buffer.concat([ECHO, BYE_BACK]))
  }
  await until(() => server.app.endpoints.every(({ open }) => open === 0), 'all are gone')
})

t.test('answers are whole even if the client sends more after its last request and reads slowly', async (t) => {
  const server = await serverFor(t, { HTTP_RATE: '1000', HTTP_BURST: '1000', HTTP_MAX_PIPELINED: '1000' })
  const body = (await server.app.inject('/assets/page.js')).rawPayload
  t.ok(body.length > 30_000, `${body.length} bytes`)
  const ask = (headers = '') => `GET /assets/page.js HTTP/1.1\r\nHost: oneloop\r\n${headers}\r\n`
  // One answer, and then more answers than the client's system buffers.
  for (const count of [1, 150]) {
    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    socket.pause()
    socket.write(ask().repeat(count - 1) + ask('Connection: close\r\n') + 'x'.repeat(100_000))
    await settled(() => server.endpoint('http').bytesOut)
    const answers = await readSlowly(socket)
    t.equal(answers.toString('latin1').match(/^HTTP\/1\.1 200 OK/gm)?.length, count)
    t.ok(answers.subarray(-body.length).equals(body), 'the last one to its end')
    socket.destroy()
    await until(() => server.endpoint('http').open === 0, 'the client is forgotten')
  }
})

/** Reads a piece in each turn of the loop until the server's FIN; fails if an RST comes first. */
async function readSlowly (socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  const failed = new Promise<never>((_resolve, reject) => { socket.once('error', reject) })
  failed.catch(() => {})
  const ended = once(socket, 'end')
  const timer = setInterval(() => {
    const chunk = socket.read(65_536) as Buffer | null ?? socket.read() as Buffer | null
    if (chunk) chunks.push(chunk)
  }, 2)
  await Promise.race([ended, failed]).finally(() => clearInterval(timer))
  return Buffer.concat(chunks)
}

t.test('an upgrade behind a POST with a body waits for the POST\'s answer', async (t) => {
  const server = await serverFor(t)
  const post = (path: string, body: string) => `POST ${path} HTTP/1.1\r\nHost: oneloop\r\nContent-Length: ${body.length}\r\n\r\n${body}`
  for (const [path, status] of [['/api/lab/wait?ms=50', 200], ['/nothing', 404], ['/healthz', 405], ['/api/lab/wait?ms=none', 400]] as const) {
    const socket = await connect(server.target('http'))
    const received = readAll(socket)
    socket.write(Buffer.concat([Buffer.from(post(path, '{"a":1}') + handshake('/ws/echo')), frameBytes(TEXT, 'Hello'), BYE]))
    const answer = (await received).toString('latin1')
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} [^]*HTTP/1\\.1 101 [^]*\\r\\n\\r\\n\x81\x05Hello\x88\x02\x03\xe8$`), `${path}: ${status}, then 101, the echo and the close frame`)
  }
})

t.test('pings in one segment all get a pong', async (t) => {
  const server = await serverFor(t)
  for (const count of [61, 100, 200]) {
    const socket = await connect(server.target('http'))
    const received = readAll(socket)
    socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...Array.from({ length: count }, () => frameBytes(PING, '')), BYE]))
    const answer = await received
    t.equal(answer.subarray(answer.indexOf('\r\n\r\n') + 4).toString('hex'), '8a00'.repeat(count) + BYE_BACK.toString('hex'), `${count}`)
  }
})

t.test('a client that half-closes after its request also gets a slow answer', async (t) => {
  const server = await serverFor(t)
  for (const request of [
    'POST /api/lab/wait?ms=300 HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 0\r\n\r\n',
    'POST /api/lab/wait?ms=300 HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 2\r\n\r\n{}',
    'POST /api/lab/run?service=ws-time HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  ]) {
    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.end(request)
    t.match(String(await received), /^HTTP\/1\.1 200 OK\r\n[^]*\}$/, request)
  }
  await until(() => server.endpoint('http').open === 0, 'all are gone')
})

t.test('a connection goes on after an ignored upgrade', async (t) => {
  const server = await serverFor(t)
  const socket = await connect(server.target('http'))
  let text = ''
  socket.on('data', (chunk) => { text += chunk })
  const h2c = (request: string) => request.replace('\r\n', '\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n')
  socket.write(h2c('POST /api/lab/run?service=none HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 2\r\n\r\n{}'))
  await until(() => text.includes('ERR_NO_SERVICE'), 'a POST is answered, with its body read')
  socket.write(h2c('GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n') + 'GET /readyz HTTP/1.1\r\nHost: oneloop\r\n\r\n')
  await until(() => text.includes('"ready"'), 'so is what comes behind the next one')
  t.same(text.match(/HTTP\/1\.1 \d+/g), ['HTTP/1.1 404', 'HTTP/1.1 200', 'HTTP/1.1 200'])
  t.equal(server.endpoint('http').total, 1)
  socket.destroy()
})

t.test('a refused handshake gets headers, a log line and a count', async (t) => {
  const server = await serverFor(t)
  for (const [header, code] of [['Sec-WebSocket-Version: 12', 'ERR_WS_VERSION'], ['Sec-WebSocket-Key: short', 'ERR_WS_KEY'], ['Sec-WebSocket-Protocol: a,a', 'ERR_WS_PROTOCOL']] as const) {
    const socket = await connect(server.target('http'))
    const received = readAll(socket)
    const name = header.split(':', 1)[0] ?? ''
    const others = handshake('/ws/echo').split('\r\n').filter((line) => !line.startsWith(name) && line !== '')
    socket.write([...others, header, 'Accept: text/html', '', ''].join('\r\n'))
    const answer = String(await received)
    t.match(answer, /^HTTP\/1\.1 400 [^]*content-type: text\/html[^]*content-security-policy:/i, code)
    t.equal(server.endpoint('ws-echo').refusals.get(code), 1)
  }
  t.match(server.log.filter(({ msg }) => msg === 'request').map(({ status, url }) => `${status} ${url}`), ['400 /ws/echo', '400 /ws/echo', '400 /ws/echo'])
  t.match(server.log.find(({ msg }) => msg === 'refused'), { service: 'ws-echo', reason: 'ERR_WS_VERSION' })
})

t.test('a client that expects 100-continue is refused before it sends a body that is too large', async (t) => {
  const server = await serverFor(t, { HTTP_MAX_BODY_BYTES: '10' })
  const ask = async (length: number) => {
    const socket = await connect(server.target('http'))
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy())
    socket.write(`POST /api/lab/wait?ms=1 HTTP/1.1\r\nHost: oneloop\r\nExpect: 100-continue\r\nContent-Length: ${length}\r\n\r\n`)
    const [first] = await once(socket, 'data') as [Buffer]
    socket.destroy()
    return String(first)
  }
  t.match(await ask(11), /^HTTP\/1\.1 413 [^]*"code":"ERR_HTTP_MAX_BODY_BYTES"/)
  t.match(await ask(10), /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
})

t.test('pipelined requests are all answered, whatever follows them', async (t) => {
  const KEPT = 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  const LATER = 'GET /metrics HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  const WAIT = 'POST /api/lab/wait?ms=200 HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  const RUN = 'POST /api/lab/run?service=echo HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  const H2C = KEPT.replace('Host', 'Connection: Upgrade, close\r\nUpgrade: h2c\r\nHost')
  const BROKEN_BODY = 'POST /healthz HTTP/1.1\r\nHost: oneloop\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n'
  const cases: [title: string, sent: string, statuses: string, settings?: Values][] = [
    ['a body that is none', KEPT + LATER + LATER + BROKEN_BODY, '200,200,200,400'],
    ['an upgrade behind a refusal', LATER + KEPT.replace('healthz', 'nothing').repeat(2) + H2C, '200,404,429', { HTTP_RATE: '1', HTTP_BURST: '1' }],
    ['CONNECT behind a refusal', KEPT.replace('healthz', 'nothing').repeat(2) + 'CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n', '404,429', { HTTP_RATE: '1', HTTP_BURST: '1' }],
    ['two answers that take their time, and a FIN', RUN + WAIT, '200,200']
  ]
  for (const [title, sent, statuses, settings] of cases) {
    const server = await serverFor(t, { HTTP_BURST: '1000', ...settings })
    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.write(sent)
    if (title.endsWith('FIN')) socket.end()
    t.equal(String(await received).match(/(?<=HTTP\/1\.1 )\d{3}/g)?.join(), statuses, title)
    socket.destroy()
  }
})

t.test('empty lines do not keep a connection alive', async (t) => {
  const server = await serverFor(t, { HTTP_KEEP_ALIVE_MS: '300', HTTP_HEADERS_MS: '300', HTTP_REQUEST_MS: '500' })
  const socket = await connect(server.target('http'))
  const ended = readAll(socket)
  socket.write('GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n')
  const timer = setInterval(() => socket.write('\r\n'), 50)
  t.match(String(await ended), /^HTTP\/1\.1 200 /)
  clearInterval(timer)
  await until(() => server.log.some(({ reason }) => reason === 'idle: HTTP_KEEP_ALIVE_MS'), 'the reason is logged')
})

t.test('a body is limited even if no route reads it', async (t) => {
  const server = await serverFor(t, { HTTP_MAX_BODY_BYTES: '10' })
  for (const [headers, status] of [['Content-Length: 11', '413'], ['Transfer-Encoding: chunked', '200']] as const) {
    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.write(`GET /healthz HTTP/1.1\r\nHost: oneloop\r\n${headers}\r\n\r\n`)
    t.match(String(await received), new RegExp(`^HTTP/1\\.1 ${status} [^]*\\r\\nconnection: close\\r\\n`, 'i'), headers)
    socket.destroy()
  }
})
