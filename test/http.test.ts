/** HTTP: headers of every kind of answer, the cached page, the lazy logger, and pipelining. */
import { once } from 'node:events'
import { createServer, request, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import helmet from 'helmet'
import { pino } from 'pino'
import t from 'tap'
import { HELMET } from '../src/plugins/web.ts'
import { Rates } from '../src/traffic/rates.ts'
import { RequestLog } from '../src/log/request-log.ts'
import { SampledLog } from '../src/log/sampled-log.ts'
import { connect, handshake, readAll, serverFor, until, type LogLine } from './support.ts'

const ask = (line: string, headers = '') => `${line} HTTP/1.1\r\nHost: oneloop\r\nConnection: close\r\n${headers}\r\n`

/** Status, headers and body of one raw answer; names in lower case. */
function parse (answer: Buffer) {
  const [head = '', ...rest] = answer.toString('latin1').split('\r\n\r\n')
  const [status = '', ...lines] = head.split('\r\n')
  const headers: IncomingHttpHeaders = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]))
  return { status: Number(status.split(' ')[1]), headers, names: lines.map((line) => line.split(':', 1)[0]?.toLowerCase() ?? ''), body: rest.join('\r\n\r\n') }
}

t.test('every answer has the headers of helmet, once each: pages, errors, refusals, failed upgrades and broken requests', async (t) => {
  const reference = createServer((request, response) => helmet(HELMET)(request, response, () => response.end()))
  reference.listen(0, '127.0.0.1')
  t.teardown(() => reference.close())
  await once(reference, 'listening')
  const expected = parse(await readAll((await connect({ host: '127.0.0.1', port: (reference.address() as AddressInfo).port })).end(ask('GET /')))).headers
  const names = Object.keys(expected).filter((name) => !['date', 'connection', 'content-length', 'transfer-encoding'].includes(name))
  t.equal(names.length, 5)

  const { app, target } = await serverFor(t, { HTTP_MAX_HEADERS: '10', HTTP_MAX_BODY_BYTES: '10', HTTP_RATE: '1', HTTP_BURST: '30' })
  const etag = String((await app.inject('/assets/page.js')).headers.etag)
  const cases: [status: number, request: string][] = [
    [200, ask('GET /')], [200, ask('GET /healthz')], [200, ask('HEAD /healthz')], [200, ask('GET /readyz')], [200, ask('GET /metrics')],
    [200, ask('GET /api/services')], [200, ask('GET /assets/page.js')], [304, ask('GET /assets/page.js', `If-None-Match: ${etag}\r\n`)],
    [400, ask('GET /%ff')], [400, ask('GET /', 'Host: another\r\n')], [404, ask('GET /nothing')], [405, ask('PUT /')], [404, ask('GET /nothing', 'Accept: text/html\r\n')],
    [413, ask('POST /api/lab/wait', 'Content-Length: 11\r\n')], [426, ask('GET /ws/echo')], [431, ask('GET /', 'A: b\r\n'.repeat(10))],
    [404, handshake('/nothing')], [403, handshake('/ws/feed', 'Origin: http://elsewhere.example\r\n')]
  ]
  for (const [status, request] of cases) {
    const answer = parse(await readAll((await connect(target('http'))).end(request)))
    const title = `${status}: ${request.split('\r\n', 1)[0]}`
    t.equal(answer.status, status, title)
    for (const name of names) t.equal(answer.headers[name], expected[name], `${title} ${name}`)
    t.equal(new Set(answer.names).size, answer.names.length, `${title} has no header twice`)
  }
  await until(async () => {
    const { status, headers } = parse(await readAll((await connect(target('http'))).end(ask('GET /'))))
    if (status === 429) for (const name of names) t.equal(headers[name], expected[name], `429 ${name}`)
    return status === 429
  }, 'the address has used up its requests')
})

t.test('the page is rendered for the visitor\'s Host, and rendered again when it is no longer fresh', async (t) => {
  const { app, endpoint } = await serverFor(t, { HOST: '0.0.0.0' })
  const page = async (host: string) => (await app.inject({ url: '/', headers: { host } })).body
  t.match(await page('one.example'), 'one.example')
  const other = await page('two.example')
  t.match(other, 'two.example')
  t.notMatch(other, 'one.example')
  t.notMatch(other, '4,711')
  Object.assign(endpoint('echo'), { summary: 'Repeats 4,711 times.' })
  await until(async () => (await page('two.example')).includes('4,711'), 'it shows what has changed')
})

t.test('pipelined answers are in order, and each is counted', async (t) => {
  const { log, target, endpoint, events } = await serverFor(t, { HTTP_MAX_REQUESTS: '3' })
  const socket = await connect(target('http'))
  socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /api/services HTTP/1.1\r\nHost: a\r\n\r\nHEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n')
  const answer = await readAll(socket)
  t.match(answer.toString(), /^HTTP\/1\.1 200 [^]*\r\n\r\n\{"status":"ok"\}HTTP\/1\.1 200 [^]*\]HTTP\/1\.1 200 (?=[^]*content-length: 18\r\n)(?=[^]*Connection: close\r\n)[^]*\r\n\r\n$/, 'in order; the third is the last, without a body')
  await until(() => endpoint('http').open === 0, 'the connection is gone')
  t.equal(endpoint('http').bytesOut, answer.length)
  t.equal(endpoint('http').crossings.get('HTTP_MAX_REQUESTS'), 1)
  t.ok(events.some(({ type }) => type === 'send'))
  t.match(log.filter(({ msg }) => msg === 'request'), [
    { url: '/healthz', status: 200, connection: 1, reqId: 'req-1' }, { url: '/api/services', status: 200, connection: 1 }, { url: '/readyz', method: 'HEAD', status: 200, connection: 1 }
  ])
})

t.test('the logger of a request is created once, with its first line, and has all methods', async (t) => {
  const lines: LogLine[] = []
  const real = pino({ level: 'trace' }, { write: (line: string) => { lines.push(JSON.parse(line) as LogLine) } })
  let made = 0
  const log: FastifyBaseLogger = new RequestLog(() => {
    made++
    return real.child({ reqId: 'req-1' })
  })
  t.equal(made, 0)
  for (const level of ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const) log[level]({ said: level }, 'a %s', 'line')
  log.silent('never')
  log.child({ more: 1 }).info('of its child')
  t.equal(log.level, 'trace')
  log.level = 'fatal'
  log.error('below its level')
  t.equal(made, 1)
  t.equal(lines.length, 7)
  for (const line of lines) t.equal(line.reqId, 'req-1')
  t.match(lines[0], { msg: 'a line', level: 10, said: 'trace' })
  t.match(lines[6], { more: 1 })
})

t.test('the log limits the lines about an address, and the next one tells how many were left out', (t) => {
  const lines: LogLine[] = []
  const log = new SampledLog(pino({}, { write: (line: string) => { lines.push(JSON.parse(line) as LogLine) } }), new Rates({ perSecond: 1e-9, burst: 1 }, 10))
  t.same([1, 2, 3].map(() => log.admits('127.0.0.1')), [true, false, false])
  t.equal(log.unlogged, 2)
  for (const said of [1, 2]) log.line(log.logger, { said }, 'said')
  t.match(lines, [{ said: 1, msg: 'said', unlogged: 2 }, { said: 2 }])
  t.notOk(lines[1] && 'unlogged' in lines[1])
  t.end()
})

t.test('lines below the log level cost no work', (t) => {
  for (const [level, isTold] of [['trace', true], ['debug', true], ['info', true], ['warn', false], ['error', false], ['fatal', false], ['silent', false]] as const) {
    let taken = 0
    const log = new SampledLog(pino({ level }), { take () { taken++; return true } } as unknown as Rates)
    t.equal(log.admits('127.0.0.1'), isTold, level)
    t.equal(taken, isTold ? 1 : 0, 'nobody has had a share of nothing')
    t.equal(log.unlogged, 0, 'nothing was left out')
  }
  t.end()
})

t.test('HTTP', async (t) => {
  const { app, target, endpoint } = await serverFor(t)
  const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' }

  await t.test('If-None-Match gets 304 in every form', async (t) => {
    const etag = String((await app.inject('/assets/page.js')).headers.etag)
    const status = async (tags: string) => (await app.inject({ url: '/assets/page.js', headers: { 'if-none-match': tags } })).statusCode
    for (const tags of [etag, `W/${etag}`, '*', `"a", ${etag}`, `"a,b",W/"c",W/${etag}`]) t.equal(await status(tags), 304, tags)
    for (const tags of ['"a"', 'W/"a", "*"', etag.slice(1, -1), `"x${etag.slice(1)}`, '', '"']) t.equal(await status(tags), 200, tags)
  })

  await t.test('the page has its title, its heading and a row with a line to paste for each service', async (t) => {
    const { body, headers } = await app.inject({ url: '/', headers: html })
    t.match(headers['content-type'], /^text\/html/)
    t.match(body, '<title>Tornado Framework</title>')
    t.match(body, '<h1>Welcome to the Tornado framework</h1>')
    t.match(body, `printf %s &#39;Hello, world&#39; | nc -N 127.0.0.1 ${endpoint('echo').port}`)
    t.match(body, `nc -N 127.0.0.1 ${endpoint('time').port} &lt;/dev/null`)
    t.notMatch(body, /<script(?! type="module" src="assets\/page\.js"><\/script>)|<style|style="|\son\w+="/, 'nothing inline')
    // A proxy may serve the page under a path prefix.
    t.notMatch(body, /(?:href|src|action)="\//, 'nothing starts at the root')
    t.match(body, '<div id="limit-UDP_RATE" data-value="10 per second">')
  })

  await t.test('every answer has a strict Content-Security-Policy and its companions', async (t) => {
    for (const url of ['/', '/healthz', '/nothing', '/assets/style.css']) {
      const { headers } = await app.inject(url)
      t.equal(headers['content-security-policy'], "default-src 'none';script-src 'self';style-src 'self';img-src 'self';connect-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'")
      t.equal(headers['x-content-type-options'], 'nosniff')
      t.equal(headers['x-frame-options'], 'SAMEORIGIN')
    }
  })

  await t.test('404 and 405 are JSON or HTML by the Accept header', async (t) => {
    const missing = await app.inject('/nothing?at=all')
    t.equal(missing.statusCode, 404)
    t.same(missing.json(), { statusCode: 404, error: 'Not Found', code: 'ERR_NOT_FOUND', message: 'There is nothing at /nothing' })
    const socket = await connect(target('http'))
    socket.write('GET /<b> HTTP/1.1\r\nHost: oneloop\r\nAccept: text/html\r\nConnection: close\r\n\r\n')
    const page = String(await readAll(socket))
    t.match(page, /^HTTP\/1\.1 404 Not Found\r\n[^]*content-type: text\/html/)
    t.match(page, 'There is nothing at /&lt;b&gt;')
    t.match((await app.inject({ url: '/a/b/c', headers: html })).body, '<link rel="stylesheet" href="../../assets/style.css">')
    t.ok((await app.inject({ url: '/'.repeat(5000), headers: html })).body.length < 10_000, 'however deep the path')
    for (const url of ['/', '/healthz', '/assets/style.css']) {
      const wrong = await app.inject({ method: 'POST', url })
      t.equal(wrong.statusCode, 405, url)
      t.equal(wrong.headers.allow, 'GET, HEAD, OPTIONS')
      t.match(wrong.json(), { code: 'ERR_METHOD_NOT_ALLOWED' })
      t.match((await app.inject({ method: 'POST', url, headers: html })).body, '<h1>405 Method Not Allowed</h1>')
    }
    t.equal(missing.headers.vary, 'accept')
  })

  await t.test('/api/services has the fields that it promises', async (t) => {
    const rows = (await app.inject('/api/services')).json() as { name: string }[]
    t.match(rows.find(({ name }) => name === 'echo'), {
      name: 'echo', transport: 'tcp', address: '127.0.0.1', addresses: ['127.0.0.1'], port: Number, state: 'open', open: 0, total: 0, bytesIn: 0, bytesOut: 0, refused: 0
    })
    t.match(rows.find(({ name }) => name === 'ws-echo'), { transport: 'websocket', path: '/ws/echo', port: endpoint('http').port })
  })

  await t.test('if it listens on all addresses, the lines to paste have the visitor\'s name for it, if that is a valid name', async (t) => {
    const { app } = await serverFor(t, { HOST: '::' })
    const page = async (host: string) => (await app.inject({ url: '/', headers: { host } })).body
    t.match(await page('lab.example:5001'), /nc lab\.example \d+/)
    t.match(await page('[::1]:5001'), /nc ::1 \d+/)
    for (const evil of ['x;reboot', '$(reboot)', '-e', 'a b', '"><script>']) t.match(await page(evil), /nc 127\.0\.0\.1 \d+/, evil)
  })
})

t.test('an HTTP client that does not read its answers is ended after HTTP_IDLE_MS', async (t) => {
  // With PROFILE=bench, so that no other limit ends it.
  const { target, endpoint, log } = await serverFor(t, { PROFILE: 'bench', HTTP_IDLE_MS: '300' })
  const socket = await connect(target('http'))
  socket.pause()
  // More answers than the buffers hold.
  socket.write('GET /assets/style.css HTTP/1.1\r\nHost: oneloop\r\n\r\n'.repeat(21_000))
  await until(() => endpoint('http').open === 1, 'it is in')
  await until(() => endpoint('http').open === 0, 'it is ended')
  t.match(log.find(({ msg }) => msg === 'connection closed'), { reason: 'idle: HTTP_IDLE_MS' })
  socket.destroy()
})

t.test('a request is logged with its connection and a bounded URL', async (t) => {
  const { target, log } = await serverFor(t)
  const sent = request({ ...target('http'), path: `/${'x'.repeat(1000)}\u007f`.replace('\u007f', '%1b') }).end()
  const [response] = await once(sent, 'response')
  response.resume()
  await once(response, 'end')
  const line = log.find(({ msg }) => msg === 'request')
  t.match(line, { service: 'http', connection: 1, method: 'GET', status: 404 })
  t.ok(String(line?.url).length <= 257, 'and bounded')
})

t.test('bytes after a last request, before its answer is sent, are neither a request nor an error', async (t) => {
  const { target, endpoint, log } = await serverFor(t)
  const socket = await connect(target('http'))
  socket.write('POST /api/lab/wait?ms=200 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n')
  const answer = String(await readAll(socket))
  t.equal(answer.match(/HTTP\/1\.1 \d+/g)?.join(), 'HTTP/1.1 200')
  await until(() => endpoint('http').open === 0, 'it is closed')
  t.same([...endpoint('http').errors.keys()], [])
  t.match(log.filter(({ msg }) => msg === 'request'), [{ url: '/api/lab/wait?ms=200', status: 200 }])
})
