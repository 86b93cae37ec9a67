/** Requests are answered whole and in order, whether Node.js's parser reads a client for itself or is handed what came; and when it does what. */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { Socket } from 'node:net'
import { setImmediate as nextTurn, setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MAX_DIRECT_CLIENTS } from '../src/plugins/direct-clients.ts'
import { frame } from './corpus-websocket.ts'
import { connect, connectBoth, handshake, onStreams, readAll, serverFor, until, withInside, type ServerSocket, type TestServer } from './support.ts'

const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000' }

const SERVERS = [
  ['that reads for itself', (t: Test) => serverFor(t, SETTINGS)],
  ['that reads a socket with streams for itself', (t: Test) => onStreams(() => serverFor(t, SETTINGS))],
  // On a Node.js whose parser does not tell how it is to be stopped.
  ['that is handed what it parses', (t: Test) => withInside('kOnExecute', () => undefined, () => serverFor(t, SETTINGS))]
] as const

/** `kOnBody` of Node.js's parser. */
const BODY = 3

const isHanded = (server: TestServer) => server.log.some(({ msg }) => msg.startsWith('this Node.js has no way to stop its HTTP parser'))

const HOST = 'Host: oneloop\r\n'
const HEALTH = `GET /healthz HTTP/1.1\r\n${HOST}\r\n`
/** Requests, and their answers' status codes. */
const REQUESTS = [
  [HEALTH, 200],
  [`HEAD /nothing HTTP/1.1\r\n${HOST}\r\n`, 404],
  [`GET /nothing HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`, 404],
  [`PUT /healthz HTTP/1.1\r\n${HOST}Content-Length: 5\r\n\r\nGET /`, 405],
  [`PUT /healthz HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n2\r\nyz\r\n0\r\n\r\n`, 405],
  [`GET /${'long'.repeat(30)} HTTP/1.1\r\n${HOST}${'x: y\r\n'.repeat(40)}\r\n`, 404],
  [`\r\nGET /ws/echo HTTP/1.1\r\n${HOST}\r\n`, 426]
] as const

const statuses = (answers: Buffer) => [...answers.toString('latin1').matchAll(/HTTP\/1\.1 (\d{3}) /g)].map(([, status]) => Number(status))

let passed = 0
let stepMs = 0
const { now } = performance
// It must not go back.
performance.now = () => now.call(performance) + (passed += stepMs)

/** Connects 100 clients, and sends what each says when all are accepted: the server reads them in one turn of the loop, in which only the first has time. */
async function sayAtOnce (server: TestServer, say: (client: Socket) => void): Promise<Buffer[]> {
  const { total } = server.endpoint('http')
  const clients = await Promise.all(Array.from({ length: 100 }, () => connect(server.target('http'), { allowHalfOpen: true })))
  await until(() => server.endpoint('http').total === total + clients.length, 'accepted')
  const answers = Promise.all(clients.map(readAll))
  stepMs = 10
  clients.forEach(say)
  try {
    return await answers
  } finally {
    stepMs = 0
  }
}

/** Sends pieces, one after the other was probably read, and a FIN. */
async function sendPieces (server: TestServer, pieces: readonly string[]): Promise<Buffer> {
  const socket = await connect(server.target('http'), { allowHalfOpen: true })
  const received = readAll(socket.setNoDelay())
  for (const piece of pieces) {
    socket.write(piece, 'latin1')
    await nextTurn()
    await nextTurn()
  }
  socket.end()
  return await received
}

for (const [title, start] of SERVERS) {
  t.test(`a parser ${title}`, async (t) => {
    const server = await start(t)
    t.equal(isHanded(server), title === 'that is handed what it parses')

    t.test('answers everything, in order, however much of it comes at once', async (t) => {
      for (let round = 0; round < 30; round++) {
        const requests = Array.from({ length: randomInt(1, 60) }, () => REQUESTS[randomInt(REQUESTS.length)] as typeof REQUESTS[number])
        const text = requests.map(([request]) => request).join('')
        const pieces: string[] = []
        for (let at = 0; at < text.length;) {
          const end = at + (randomInt(3) === 0 ? randomInt(1, 20) : randomInt(1, 8000))
          pieces.push(text.slice(at, end))
          at = end
        }
        t.same(statuses(await sendPieces(server, pieces)), requests.map(([, status]) => status), `${requests.length} requests in ${pieces.length} pieces`)
      }
    })

    t.test('answers three requests, wherever the second read begins', async (t) => {
      const requests = [REQUESTS[0], REQUESTS[4], REQUESTS[2]]
      const text = requests.map(([request]) => request).join('')
      const wanted = requests.map(([, status]) => status)
      const wrong: number[] = []
      for (let at = 1; at < text.length; at++) {
        if (statuses(await sendPieces(server, [text.slice(0, at), text.slice(at)])).join() !== wanted.join()) wrong.push(at)
      }
      t.same(wrong, [])
    })

    t.test('answers all who come at once and say no more', async (t) => {
      const answers = await sayAtOnce(server, (client) => client.end(HEALTH))
      t.same(new Set(answers.map((answer) => statuses(answer).join())), new Set(['200']))
    })

    t.test('upgrades all who come at once, with what they say at once, and with what they say a little later', async (t) => {
      const opening = handshake('/ws/echo')
      const frames = frame(1, 'Hello') + frame(8, '\x03\xe8')
      for (const [first, second, wanted] of [[opening + frames, '', '101'], [HEALTH + opening + frames, '', '200,101'], [opening, frames, '101'], [HEALTH + opening, frames, '200,101']]) {
        const answers = await sayAtOnce(server, (client) => {
          client.write(first as string, 'latin1')
          setImmediate(() => client.write(second as string, 'latin1'))
        })
        const ends = answers.map((answer) => `${statuses(answer).join()} ${answer.toString('latin1').split('\r\n\r\n').at(-1)}`)
        t.same(new Set(ends), new Set([`${wanted} \x81\x05Hello\x88\x02\x03\xe8`]))
      }
    })

    t.test('upgrades whoever waits for that', async (t) => {
      const answers = await sayAtOnce(server, (client) => {
        let received = ''
        client.on('data', (data) => {
          received += data.toString('latin1')
          if (received.endsWith('\r\n\r\n')) client.write(frame(8, '\x03\xe8'), 'latin1')
        })
        client.write(HEALTH + handshake('/ws/echo'))
      })
      t.same(new Set(answers.map((answer) => `${statuses(answer).join()} ${answer.toString('latin1').split('\r\n\r\n').at(-1)}`)), new Set(['200,101 \x88\x02\x03\xe8']))
    })

    t.test('upgrades alike, first or second, where there is a body', async (t) => {
      const text = handshake('/ws/echo', 'Content-Length: 11\r\n') + frame(1, 'Hello') + frame(8, '\x03\xe8')
      for (const before of ['', HEALTH]) {
        const client = await connect(server.target('http'))
        const answer = readAll(client)
        client.write(before + text, 'latin1')
        t.equal((await answer).toString('latin1').split('\r\n\r\n').at(-1), '\x81\x05Hello\x88\x02\x03\xe8')
      }
    })

    t.test('answers a request before it finds fault with what follows it', async (t) => {
      for (const path of ['/healthz', '/', '/metrics', '/nothing']) {
        const status = path === '/nothing' ? 404 : 200
        const request = HEALTH.replace('/healthz', path)
        const answers = await sayAtOnce(server, (client) => client.write(`${request}neither\r\n\r\n`))
        t.same(new Set(answers.map((answer) => statuses(answer).join())), new Set([`${status},400`]), path)
        const last = request.replace('Host', 'Connection: close\r\nHost')
        const lastAnswers = await sayAtOnce(server, (client) => client.write(last + HEALTH))
        t.same(new Set(lastAnswers.map((answer) => statuses(answer).join())), new Set([`${status}`]), `${path}, the last one`)
      }
    })

    t.test('parses no body by itself', async (t) => {
      const sockets: ServerSocket[] = []
      const note = (socket: ServerSocket) => { sockets.push(socket) }
      server.app.server.on('connection', note)
      const parsed: boolean[] = []
      const answers = await sayAtOnce(server, (client) => {
        if (parsed.length === 0) {
          for (const { parser } of sockets) {
            const onBody = parser[BODY] as (bytes: Buffer) => void
            parser[BODY] = function (bytes) {
              parsed.push(this._consumed)
              onBody.call(this, bytes)
            }
          }
          sockets.length = 0
        }
        client.end(REQUESTS[4][0])
      })
      server.app.server.off('connection', note)
      t.same(new Set(answers.map((answer) => statuses(answer).join())), new Set(['405']))
      t.same(parsed, Array.from({ length: 200 }, () => false))
    })

    t.test('was read that way to the end', async (t) => {
      const [client, socket] = await connectBoth(server)
      t.equal(socket.parser._consumed, !isHanded(server))
      client.destroy()
    })
  })
}

t.test('a parser reads for itself while each read has one small request', async (t) => {
  const server = await serverFor(t, SETTINGS)
  /** Sends pieces, each of which is one read, and wants answers. Resolves to whether the parser still reads for itself. */
  async function isDirectAfter (pieces: readonly string[], answers: number): Promise<boolean> {
    const [client, socket] = await connectBoth(server)
    t.teardown(() => client.destroy())
    let received = ''
    client.setNoDelay().on('data', (data) => { received += data.toString('latin1') })
    let bytes = 0
    for (const piece of pieces) {
      client.write(piece)
      bytes += piece.length
      await until(() => socket.bytesRead === bytes, 'read')
    }
    await until(() => statuses(Buffer.from(received)).length === answers, 'answered')
    return socket.parser._consumed
  }

  t.ok(await isDirectAfter([], 0))
  t.ok(await isDirectAfter([HEALTH, HEALTH, HEALTH], 3))
  t.notOk(await isDirectAfter([HEALTH, HEALTH + HEALTH, HEALTH], 4), 'not with two in one read')
  t.notOk(await isDirectAfter([HEALTH.slice(0, 9), HEALTH.slice(9)], 1), 'not with a part of one')
  t.notOk(await isDirectAfter([REQUESTS[3][0]], 1), 'not with a body')
  t.ok(await isDirectAfter([HEALTH], 1), 'others are not concerned')
})

const LONG = `x: ${'y'.repeat(2100)}\r\n`

t.test('after a long head no parser reads for itself', async (t) => {
  for (const [title, text, status] of [
    ['a request', HEALTH.replace('Host', `${LONG}Host`), 200],
    ['a second request', HEALTH + HEALTH.replace('Host', `${LONG}Host`), 200],
    ['a broken request', HEALTH.replace('Host', `${LONG}:Host`), 400],
    ['an upgrade', handshake('/ws/echo', LONG), 101]
  ] as const) {
    const server = await serverFor(t, SETTINGS)
    const [other, socket] = await connectBoth(server)
    t.teardown(() => other.destroy())
    t.ok(socket.parser._consumed)
    const client = await connect(server.target('http'))
    client.write(text)
    const [answer] = await once(client, 'data') as [Buffer]
    t.equal(statuses(answer)[0], status, title)
    t.notOk(socket.parser._consumed, 'another client\'s')
    const [next, nextSocket] = await connectBoth(server)
    t.teardown(() => next.destroy())
    t.notOk(nextSocket.parser._consumed, 'and that of the next one')
    client.destroy()
  }
})

/** Another `execute` of the parser, and what is wrong with it. */
type Execute = (this: { incoming?: { upgrade: boolean } }, bytes: Buffer) => unknown
const OTHERS: Readonly<Record<string, (execute: Execute) => Execute>> = {
  'finds no upgrade': (execute) => function (bytes) { return bytes.length === 0 && this.incoming?.upgrade ? new Error('it is another') : execute.call(this, bytes) },
  'says only once what is no request': (execute) => function (bytes) {
    const result = execute.call(this, bytes)
    return bytes.length === 0 && result instanceof Error ? 0 : result
  }
}

for (const [title, change] of Object.entries(OTHERS)) {
  t.test(`a parser that ${title} when it has stopped is handed what it parses`, async (t) => {
    const server = await withInside('execute', (execute) => change(execute as Execute), () => serverFor(t, SETTINGS))
    t.ok(isHanded(server))
    const answers = await sayAtOnce(server, (client) => client.write(`${HEALTH}${handshake('/ws/echo')}${frame(8, '\x03\xe8')}`, 'latin1'))
    t.same(new Set(answers.map((answer) => statuses(answer).join())), new Set(['200,101']))
  })
}

t.test('where a FIN cannot be held back, Node.js reads its sockets as it likes', async (t) => {
  const { emit } = Socket.prototype
  // No socket has one of its own.
  t.intercept(Socket.prototype, 'emit', { get: () => emit, set () {} })
  const server = await serverFor(t, SETTINGS)
  t.ok(isHanded(server))
  for (const way of ['to read into memory', 'to hand its HTTP parser', 'to accept a client']) {
    t.ok(server.log.some(({ msg }) => msg.startsWith(`this Node.js has no way ${way}`)), way)
  }
  const requests = Array.from({ length: 200 }, () => REQUESTS[randomInt(REQUESTS.length)] as typeof REQUESTS[number])
  t.same(statuses(await sendPieces(server, [requests.map(([request]) => request).join('')])), requests.map(([, status]) => status))
  const data = randomBytes(2_000_000)
  const client = await connect(server.target('echo'), { allowHalfOpen: true })
  const received = readAll(client)
  client.end(data)
  t.ok((await received).equals(data))
})

t.test('so many parsers read for themselves', async (t) => {
  const server = await serverFor(t, SETTINGS)
  const both: [Socket, ServerSocket][] = []
  t.teardown(() => both.forEach(([client]) => client.destroy()))
  const next = async () => {
    const [client, socket] = await connectBoth(server)
    both.push([client, socket])
    return socket.parser._consumed
  }
  while (both.length < MAX_DIRECT_CLIENTS) t.ok(await next())
  t.notOk(await next())
  const [[gone], [upgraded]] = both as [[Socket, ServerSocket], [Socket, ServerSocket]]
  gone.destroy()
  await until(() => server.endpoint('http').open === MAX_DIRECT_CLIENTS, 'closed')
  upgraded.write(handshake('/ws/echo'))
  await until(() => server.endpoint('http').open === MAX_DIRECT_CLIENTS - 1, 'upgraded')
  const isWatched = (socket: ServerSocket) => Object.getOwnPropertySymbols(socket).filter(({ description }) => description === 'watch').map((symbol) => Reflect.get(socket, symbol) !== undefined)
  t.same(isWatched(both[2]?.[1] as ServerSocket), [true])
  t.same(isWatched(both[1]?.[1] as ServerSocket), [false], 'a WebSocket does not keep what watched its parser')
  t.ok(await next(), 'in place of one that is gone')
  t.ok(await next(), 'in place of one that is a WebSocket')
  t.notOk(await next())
})

t.test('a request behind which the parser has stopped has arrived', async (t) => {
  const server = await serverFor(t, { ...SETTINGS, HTTP_HEADERS_MS: '500', HTTP_REQUEST_MS: '500' })
  const client = await connect(server.target('http'), { allowHalfOpen: true })
  const received = readAll(client)
  client.write(HEALTH + HEALTH)
  // Node.js looks once a second.
  await delay(2100)
  client.end(HEALTH)
  t.same(statuses(await received), [200, 200, 200])
})
