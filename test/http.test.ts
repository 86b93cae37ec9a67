/** What every HTTP answer has, however it is sent; and that what is made late is made all the same. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
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

t.test('every answer has the headers that helmet itself sets, once each: pages, errors, refusals, failed upgrades, and what never became a request', async (t) => {
  const reference = createServer((request, response) => helmet(HELMET)(request, response, () => response.end()))
  reference.listen(0, '127.0.0.1')
  t.teardown(() => reference.close())
  await once(reference, 'listening')
  const expected = parse(await readAll((await connect({ host: '127.0.0.1', port: (reference.address() as AddressInfo).port })).end(ask('GET /')))).headers
  const names = Object.keys(expected).filter((name) => !['date', 'connection', 'content-length', 'transfer-encoding'].includes(name))
  t.equal(names.length, 9)

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

t.test('the page is made for the name that a visitor came by, and made again', async (t) => {
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

t.test('pipelined answers are in order, and each is accounted for', async (t) => {
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

t.test('the logger of a request is made with its first line, once, and is a whole logger', async (t) => {
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

t.test('the log admits so many lines about an address, and the next one tells how many were left out', (t) => {
  const lines: LogLine[] = []
  const log = new SampledLog(pino({}, { write: (line: string) => { lines.push(JSON.parse(line) as LogLine) } }), new Rates({ perSecond: 1e-9, burst: 1 }, 10))
  t.same([1, 2, 3].map(() => log.admits('127.0.0.1')), [true, false, false])
  t.equal(log.unlogged, 2)
  for (const said of [1, 2]) log.line(log.logger, { said }, 'said')
  t.match(lines, [{ said: 1, msg: 'said', unlogged: 2 }, { said: 2 }])
  t.notOk(lines[1] && 'unlogged' in lines[1])
  t.end()
})

t.test('the log has no work with lines below its level', (t) => {
  for (const [level, isTold] of [['trace', true], ['debug', true], ['info', true], ['warn', false], ['error', false], ['fatal', false], ['silent', false]] as const) {
    let taken = 0
    const log = new SampledLog(pino({ level }), { take () { taken++; return true } } as unknown as Rates)
    t.equal(log.admits('127.0.0.1'), isTold, level)
    t.equal(taken, isTold ? 1 : 0, 'nobody has had a share of nothing')
    t.equal(log.unlogged, 0, 'nothing was left out')
  }
  t.end()
})
