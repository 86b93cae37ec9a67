/** An HTTP client's socket with its streams and without: nobody may tell the difference. Whether this Node.js can, and what becomes of it where it cannot. */
import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { createServer as createNetServer, Socket, type AddressInfo } from 'node:net'
import { finished } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { MAX_DIRECT_CLIENTS } from '../src/plugins/direct-clients.ts'
import { takeHandles, type Inside } from '../src/plugins/handle.ts'
import { LazySocket } from '../src/plugins/lazy-socket.ts'
import { Turn, type Answer } from '../src/turn.ts'
import { connect, connectBoth, forThose, handshake, readAll, serverFor, streamsMade, until, withInside, type TestServer } from './support.ts'

const HOST = 'Host: oneloop\r\n'
const KEEP = `GET /kept HTTP/1.1\r\n${HOST}\r\n`
const CLOSE = `GET /last HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`
/** A head that is not over: for that the streams are made. */
const HALF = KEEP.slice(0, -2)
const MIB = 1_048_576

interface Talk {
  /** What the client received, and how it ended. */
  readonly received: string
  readonly ending: string
  /** What happened to the server's socket and its requests, in order. */
  readonly events: readonly string[]
  /** Whether its streams were made. */
  readonly hasStreams: boolean
}

interface Conversation {
  readonly title: string
  /** Whether the socket has to have streams for it. */
  readonly isForStreams?: true
  /** Whether the order of events depends on how fast the client is. */
  readonly isRace?: true
  readonly answer?: RequestListener
  readonly prepare?: (server: Server) => void
  /** What the client does; it reads from the beginning. */
  readonly act: (client: Socket, server: Server, socket: Socket) => Promise<void> | void
}

/** Holds a conversation with a server of its own. */
async function talk (t: Test, accept: ((server: Server) => void) | undefined, { answer, prepare, act, isRace }: Conversation): Promise<Talk> {
  const events: string[] = []
  const server = createServer({ keepAliveTimeout: 0 }, (request, response) => {
    events.push(`request ${request.method} ${request.url}`)
    request.on('aborted', () => events.push('aborted')).on('close', () => events.push('request closed')).on('error', () => events.push('request failed'))
    response.on('note', (note) => events.push(String(note))).on('finish', () => events.push('finish')).on('close', () => events.push(`closed ${response.writableFinished}`))
    if (answer) answer(request, response)
    else response.end(`answer to ${request.url}`)
  })
  prepare?.(server)
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => server.close())
  accept?.(server)
  const accepted = once(server, 'connection')
  const client = await connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, { allowHalfOpen: true })
  const [socket] = await accepted as [Socket]
  let isClosed = false
  socket.on('error', (error: NodeJS.ErrnoException) => events.push(`error ${error.code ?? error.message}`))
    .on('end', () => events.push('end')).on('finish', () => events.push('socket finish')).on('timeout', () => events.push('timeout'))
    .on('close', (hadError) => {
      isClosed = true
      events.push(`close ${hadError} ${socket.bytesRead} ${socket.bytesWritten}`)
    })
  let ending = ''
  let received = ''
  client.on('data', (data) => { received += data.toString('latin1') })
    .on('error', (error: NodeJS.ErrnoException) => { ending += `${error.code} ` })
    .on('end', () => {
      ending += 'end '
      client.end()
    })
  await act(client, server, socket)
  await until(() => isClosed && client.closed, 'the connection ends')
  server.close()
  const text = received.replaceAll(/Date: [^\r]+/g, 'Date')
  return { received: text.length > 10_000 ? `${text.length} ${text.slice(-100)}` : text, ending, events: isRace ? events.sort() : events, hasStreams: !(socket instanceof LazySocket) }
}

/** Until the client was sent something that ends so. */
const sent = (client: Socket, text: string) => new Promise<void>((resolve) => {
  // No more than that: to look at the end of a string of 8 MiB is to copy it, with each piece.
  let last = ''
  client.on('data', (data) => {
    last = `${last}${data.toString('latin1')}`.slice(-text.length)
    if (last === text) resolve()
  })
})

async function ask (client: Socket, request = KEEP, end = 'answer to /kept'): Promise<void> {
  const answered = sent(client, end)
  client.write(request)
  await answered
}

/** Asks, and takes nothing of the answer for a while. */
async function askAndTakeNothing (client: Socket, server: Server, request: string, ms: number): Promise<void> {
  const asked = once(server, 'request')
  client.pause()
  client.write(request)
  await asked
  await delay(ms)
}

const CONVERSATIONS: readonly Conversation[] = [
  {
    title: 'a request',
    act: (client) => { client.write(CLOSE) }
  },
  {
    title: 'three requests, one after another',
    async act (client) {
      await ask(client)
      await ask(client)
      client.write(CLOSE)
    }
  },
  {
    title: 'three requests at once',
    act: (client) => { client.write(KEEP + KEEP + CLOSE) }
  },
  {
    title: 'three requests at once, whose answers take their time',
    answer: ({ url }, response) => { setTimeout(() => response.end(url), 20) },
    act: (client) => { client.write(KEEP + KEEP + CLOSE) }
  },
  {
    title: 'a request of HTTP/1.0',
    act: (client) => { client.write('GET /last HTTP/1.0\r\n\r\n') }
  },
  {
    title: 'a request in pieces',
    async act (client) {
      for (const piece of CLOSE) {
        client.write(piece)
        await delay(1)
      }
    }
  },
  {
    title: 'HEAD, and an answer without a body',
    answer: (_request, response) => { response.writeHead(204).end() },
    async act (client) {
      await ask(client, KEEP.replace('GET', 'HEAD'), '\r\n\r\n')
      client.write(CLOSE)
    }
  },
  {
    title: 'a request without Host',
    act: (client) => { client.write('GET / HTTP/1.1\r\n\r\n') }
  },
  {
    title: 'answers in each encoding',
    answer: ({ url }, response) => { response.end('träge', url === '/last' ? 'latin1' : 'utf8') },
    async act (client) {
      await ask(client, KEEP, 'ge')
      client.write(CLOSE)
    }
  },
  {
    title: 'the client ends between two requests',
    async act (client) {
      await ask(client)
      client.end()
    }
  },
  {
    title: 'the client ends with its request',
    act: (client) => { client.end(KEEP) }
  },
  {
    title: 'the client ends before its answer',
    answer: (_request, response) => { setTimeout(() => response.end('late'), 50) },
    act: (client) => { client.end(KEEP) }
  },
  {
    title: 'the client ends before its answer, and waits for it',
    prepare: (server) => { Object.assign(server, { httpAllowHalfOpen: true }) },
    answer: (_request, response) => { setTimeout(() => response.end('late'), 50) },
    act: (client) => { client.end(KEEP) }
  },
  {
    title: 'the client ends before its answer, which is of bytes, and waits for it',
    prepare: (server) => { Object.assign(server, { httpAllowHalfOpen: true }) },
    answer: (_request, response) => { setTimeout(() => response.end(Buffer.from('late')), 50) },
    act: (client) => { client.end(KEEP) },
    isForStreams: true
  },
  {
    title: 'the client ends before its answer, after which the socket is ended',
    prepare: (server) => { Object.assign(server, { httpAllowHalfOpen: true }) },
    answer: ({ socket }) => { setTimeout(() => socket.end('late'), 50) },
    act: (client) => { client.end(KEEP) },
    isForStreams: true
  },
  {
    title: 'the client ends without a word',
    act: (client) => { client.end() }
  },
  {
    title: 'the client ends in the middle of a head',
    act: (client) => { client.end(HALF) },
    isForStreams: true
  },
  {
    title: 'the client breaks off without a word',
    act: (client) => { client.resetAndDestroy() }
  },
  {
    title: 'the client breaks off between two requests',
    async act (client) {
      await ask(client)
      client.resetAndDestroy()
    }
  },
  {
    title: 'the client breaks off before its answer',
    answer: (_request, response) => { setTimeout(() => response.end('late'), 50) },
    async act (client, server) {
      const asked = once(server, 'request')
      client.write(KEEP)
      await asked
      client.resetAndDestroy()
    }
  },
  {
    title: 'what is no request',
    act: (client) => { client.write('no request\r\n\r\n') },
    isForStreams: true
  },
  {
    title: 'what is no request, and who answers that itself',
    prepare: (server) => { server.on('clientError', (_error, socket) => { socket.end('broken') }) },
    act: (client) => { client.write('no request\r\n\r\n') },
    isForStreams: true
  },
  {
    title: 'a body',
    answer: (request, response) => { request.on('data', (data: Buffer) => response.write(data)).on('end', () => response.end()) },
    act: (client) => { client.write(`${CLOSE.replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n')}Hello`) },
    isForStreams: true
  },
  {
    title: 'a body for which the client waits',
    answer: (request, response) => { request.on('end', () => response.end('thanks')).resume() },
    async act (client) {
      await ask(client, CLOSE.replace('GET', 'POST').replace('\r\n\r\n', '\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n'), '\r\n\r\n')
      client.write('Hello')
    },
    isForStreams: true
  },
  {
    title: 'a body that is read later',
    answer (request, response) {
      request.pause()
      setTimeout(() => request.on('end', () => response.end('thanks')).resume(), 50)
    },
    act: (client) => { client.write(`${CLOSE.replace('GET', 'POST').replace('\r\n\r\n', `\r\nContent-Length: ${MIB}\r\n\r\n`)}${'x'.repeat(MIB)}`) },
    isForStreams: true
  },
  {
    title: 'an answer in pieces',
    answer (_request, response) {
      response.write('one')
      setImmediate(() => {
        response.write('two')
        response.end('three')
      })
    },
    async act (client) {
      await ask(client, KEEP, '\r\n0\r\n\r\n')
      client.write(CLOSE)
    },
    isForStreams: true
  },
  {
    title: 'an answer in two pieces whose length is known',
    answer (_request, response) {
      response.writeHead(200, { 'content-length': 6 })
      response.write('one', () => response.emit('note', 'one'))
      response.end('two', () => response.emit('note', 'two'))
    },
    async act (client) {
      await ask(client, KEEP, 'onetwo')
      client.write(CLOSE)
    }
  },
  {
    title: 'an answer in two pieces of two encodings',
    answer (_request, response) {
      response.writeHead(200, { 'content-length': 3 })
      response.write('ä', 'latin1')
      response.end('ä', 'utf8')
    },
    async act (client) {
      await ask(client, KEEP, '\xe4\xc3\xa4')
      client.write(CLOSE)
    },
    isForStreams: true
  },
  {
    title: 'an answer whose socket is destroyed before it is sent',
    answer (_request, response) {
      response.writeHead(200, { 'content-length': 3 })
      response.write('x', (error) => response.emit('note', (error as NodeJS.ErrnoException).code))
      response.socket?.destroy()
    },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'an answer of bytes',
    answer: (_request, response) => { response.end(Buffer.from('träge')) },
    async act (client) {
      await ask(client, KEEP, 'ge')
      client.write(CLOSE)
    },
    isForStreams: true
  },
  {
    title: 'an answer that the client takes slowly',
    answer: (_request, response) => { response.end('x'.repeat(8 * MIB)) },
    async act (client, server) {
      await askAndTakeNothing(client, server, KEEP, 50)
      client.resume()
      await ask(client, CLOSE, 'x')
    },
    isForStreams: true
  },
  {
    title: 'many answers that the client takes slowly',
    answer: (_request, response) => { response.end('x'.repeat(100_000)) },
    async act (client, server) {
      let answers = 0
      server.on('request', () => { answers++ })
      client.pause()
      client.write(KEEP.repeat(200) + CLOSE)
      await until(() => answers >= 40, 'it waits')
      await delay(50)
      client.resume()
      await until(() => answers === 201, 'all are answered')
    },
    isRace: true,
    isForStreams: true
  },
  {
    title: 'an answer of text and of bytes that the client takes slowly',
    answer (_request, response) {
      response.writeHead(200, { 'content-length': 8 * MIB + 4 })
      response.write('x'.repeat(8 * MIB))
      response.end(Buffer.from('text'))
    },
    async act (client, server) {
      await askAndTakeNothing(client, server, CLOSE, 50)
      client.resume()
    },
    isForStreams: true
  },
  {
    title: 'an answer that nobody waits for',
    prepare: (server) => { server.on('clientError', () => {}) },
    answer: (_request, response) => { response.end('x'.repeat(8 * MIB)) },
    async act (client, server) {
      await askAndTakeNothing(client, server, KEEP, 20)
      client.resetAndDestroy()
    },
    isForStreams: true
  },
  {
    title: 'an upgrade',
    prepare (server) {
      server.on('upgrade', (_request, socket, head) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
        socket.write(head)
        socket.on('data', (data) => socket.write(data)).on('end', () => socket.end('bye'))
      })
    },
    async act (client) {
      await ask(client, `${handshake('/')}more`, 'more')
      await ask(client, 'x'.repeat(MIB), 'x'.repeat(MIB))
      client.end()
    },
    isForStreams: true
  },
  {
    title: 'CONNECT, that nobody listens for',
    act: (client) => { client.write(`CONNECT example.com:80 HTTP/1.1\r\n${HOST}\r\n`) }
  },
  {
    title: 'a socket that is destroyed',
    answer: ({ socket }) => { socket.destroy() },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'a socket that is destroyed for an error',
    answer: ({ socket }) => { socket.destroy(new Error('enough')) },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'an answer that is destroyed',
    answer: (_request, response) => { response.destroy() },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'an answer after which the socket is destroyed',
    answer ({ socket }, response) {
      response.end('the last')
      socket.destroySoon()
    },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'an answer after which somebody writes once more',
    answer ({ socket }, response) {
      response.end('the last')
      socket.destroySoon()
      socket.write('late', 'latin1', (error) => response.emit('note', (error as NodeJS.ErrnoException | undefined)?.code))
    },
    act: (client) => { client.write(KEEP) },
    isForStreams: true
  },
  {
    title: 'a socket that somebody ends',
    answer: ({ socket }) => { socket.end('bye') },
    act: (client) => { client.write(KEEP) },
    isForStreams: true
  },
  {
    title: 'a socket that is used after its end',
    answer ({ socket }, response) {
      socket.destroy()
      setTimeout(() => {
        socket.write('late', (error) => response.emit('note', (error as NodeJS.ErrnoException).code))
        response.emit('note', `${socket.destroyed} ${socket.writable} ${socket.readyState} ${socket.listenerCount('close')}`)
        socket.end()
        socket.destroy()
      }, 20)
    },
    act: async (client) => {
      client.write(KEEP)
      await delay(50)
    },
    isForStreams: true
  },
  {
    title: 'a socket of which somebody asks much',
    answer ({ socket }, response) {
      response.end([socket.readyState, socket.readableFlowing, socket.bufferSize, socket.pending, socket.closed, socket.writableObjectMode, socket.readableEncoding, socket.allowHalfOpen].join())
    },
    act: (client) => { client.write(CLOSE) },
    isForStreams: true
  },
  {
    title: 'a socket of which somebody asks little',
    answer ({ socket }, response) {
      const { readable, writable, writableEnded, writableLength, writableCorked, readableHighWaterMark, writableHighWaterMark, destroyed, errored, bytesRead, bytesWritten, localAddress, remoteFamily, connecting } = socket
      response.end(JSON.stringify({ readable, writable, writableEnded, writableLength, writableCorked, readableHighWaterMark, writableHighWaterMark, destroyed, errored, bytesRead, bytesWritten, localAddress, remoteFamily, connecting, isPaused: socket.isPaused(), isSocket: socket instanceof Socket }))
    },
    act: (client) => { client.write(CLOSE) }
  },
  {
    title: 'a request that is destroyed',
    answer: (request) => { request.destroy() },
    act: (client) => { client.write(CLOSE.replace('\r\n\r\n', '\r\nContent-Length: 5\r\n\r\n')) },
    isForStreams: true
  },
  {
    title: 'a socket whose end is awaited after it',
    answer ({ socket }, response) {
      socket.on('close', () => setImmediate(() => {
        finished(socket, (error) => response.emit('note', `${error?.code} ${socket.closed} ${socket.errored?.message} ${socket.bytesRead}`))
      }))
      socket.destroy(new Error('enough'))
    },
    act: (client) => { client.write(KEEP) },
    isForStreams: true
  },
  {
    title: 'a connection that is closed as an idle one as soon as its answer has ended',
    prepare: (server) => { server.on('request', () => process.nextTick(() => server.closeIdleConnections())) },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'a connection that is destroyed as soon as its answer has ended',
    answer ({ url, socket }, response) {
      response.end(url)
      socket.destroy()
    },
    act: (client) => { client.write(KEEP) }
  },
  {
    title: 'a client that sends more while its last answer goes out',
    answer ({ url, socket }, response) {
      response.end(url)
      if (url === '/last') setTimeout(() => response.emit('note', `${socket.writable} ${socket.writableEnded}`), 1)
    },
    async act (client, server) {
      const asked = once(server, 'request')
      client.pause()
      client.write(CLOSE)
      await asked
      // There before the server's next turn.
      client.write(KEEP)
      client.resume()
    }
  },
  {
    title: 'a timer that is set anew by each request',
    answer ({ socket }, response) {
      if (!socket.timeout) socket.setTimeout(80)
      response.end('answer to /kept')
    },
    async act (client) {
      for (let i = 0; i < 5; i++) {
        await ask(client)
        await delay(40)
      }
    }
  },
  {
    title: 'a timer of a socket that gets streams',
    answer ({ socket }, response) {
      if (!socket.timeout) socket.setTimeout(80)
      setTimeout(() => response.end(Buffer.from('answer to /kept')), 40)
    },
    async act (client) {
      await ask(client)
      await delay(60)
      await ask(client)
    },
    isForStreams: true
  },
  {
    title: 'a timer of a socket that is destroyed',
    answer ({ socket }) {
      socket.setTimeout(20)
      socket.destroy()
    },
    async act (client) {
      client.write(KEEP)
      await delay(50)
    }
  },
  {
    title: 'silence for too long',
    prepare: (server) => { server.setTimeout(50) },
    async act (client) {
      await ask(client)
    }
  },
  {
    title: 'a server that closes',
    async act (client, server) {
      await ask(client)
      server.close()
    }
  },
  {
    title: 'a listener for the data of a request',
    answer ({ url, socket }, response) {
      if (url === '/kept') socket.on('data', (data: Buffer) => response.emit('note', String(data)))
      setTimeout(() => response.end(`answer to ${url}`), 20)
    },
    async act (client) {
      await ask(client)
      client.write(CLOSE)
    },
    isForStreams: true
  }
]

/** Answers are sent at once, as nothing is begun in it, or at the end of the turn. */
const AT_ONCE = new Turn(0)
const AT_END = new class extends Turn {
  override answer (answer: Answer): void { setImmediate(() => answer.send()) }
}(0)

t.test('conversations', async (t) => {
  const { app } = await serverFor(t)
  for (const conversation of CONVERSATIONS) {
    t.test(conversation.title, async (t) => {
      const plain = await talk(t, undefined, conversation)
      const lazy = await talk(t, (server) => app.acceptLazily(server, server, AT_ONCE), conversation)
      t.same({ ...lazy, hasStreams: true }, plain)
      t.equal(lazy.hasStreams, conversation.isForStreams === true, 'streams')
      t.ok(lazy.events.length > 0)
      // A request's end may be told of before or after the next one's.
      const later = await talk(t, (server) => app.acceptLazily(server, server, AT_END), conversation)
      t.same({ ...later, events: later.events.toSorted() }, { ...lazy, events: lazy.events.toSorted() }, 'at the end of the turn')
    })
  }
})

t.test('who was answered before the end of the server has the answer', async (t) => {
  const { app, target } = await serverFor(t, { PROFILE: 'bench' })
  const clients = await Promise.all(Array.from({ length: 12 }, () => connect(target('http'))))
  const answers: string[] = clients.map(() => '')
  for (const [i, client] of clients.entries()) client.on('data', (data) => { answers[i] += String(data) }).on('error', () => {})
  const ask = () => {
    answers.fill('')
    for (const client of clients) client.write(KEEP.replace('/kept', '/healthz'))
  }
  // Until all of them fit into a turn.
  for (let i = 0; i < 10; i++) {
    ask()
    await until(() => answers.every((answer) => answer !== ''), 'all are answered')
  }
  const asked = new Promise<void>((resolve) => {
    let requests = 0
    app.server.on('request', () => {
      if (++requests === 8) app.close().then(resolve, () => {})
    })
  })
  ask()
  await asked
  await until(() => clients.every(({ closed }) => closed), 'they are gone')
  t.ok(answers.filter((answer) => answer.startsWith('HTTP/1.1 ')).length >= 8)
})

t.test('of a long answer that waits for the end of the turn as its socket is destroyed the client has what the system takes', async (t) => {
  const { app } = await serverFor(t)
  const server = createServer(({ socket }, response) => {
    response.end('x'.repeat(16 * MIB))
    socket.destroy()
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  app.acceptLazily(server, server, AT_END)
  const accepted = once(server, 'connection')
  const client = await connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  const [socket] = await accepted as [Socket]
  let bytes = 0
  client.on('data', (data) => { bytes += data.length })
  client.write(KEEP)
  await until(() => socket.closed && client.closed, 'it is closed')
  t.notOk(socket instanceof LazySocket)
  t.ok(bytes > 0)
  server.close()
})

t.test('Nagle\'s algorithm is switched off before a second answer, and with the streams', async (t) => {
  const server = await serverFor(t)
  for (const [path, wanted] of [['/healthz', [0, 1, 1]], ['/assets/nothing.css', [0, 1, 1]]] as const) {
    const [client, socket] = await connectBoth(server)
    const { _handle: handle } = socket
    const { setNoDelay } = handle
    let calls = 0
    handle.setNoDelay = function (isOn) {
      calls++
      return setNoDelay.call(this, isOn)
    }
    for (const count of wanted) {
      const answered = once(client, 'data')
      client.write(`GET ${path} HTTP/1.1\r\n${HOST}\r\n`)
      await answered
      t.equal(calls, count)
    }
    client.write(HALF)
    await until(() => !(socket instanceof LazySocket), 'it has streams')
    t.equal(calls, 2)
    client.destroy()
  }
})

t.test('a client that takes what waits slowly is not silent', async (t) => {
  const { app } = await serverFor(t)
  const taken: boolean[] = []
  const server = createServer(({ socket }) => { taken.push(socket.write('x'), socket.write('x'.repeat(48 * MIB))) })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  app.acceptLazily(server, server, AT_ONCE)
  const accepted = once(server, 'connection')
  const client = await connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  const [socket] = await accepted as [Socket]
  client.pause()
  client.write(KEEP)
  await until(() => !(socket instanceof LazySocket), 'it waits')
  t.equal(socket.writableLength, 48 * MIB)
  t.same(taken, [true, false])
  t.equal(socket.writableNeedDrain, true)
  let timeouts = 0
  let isTaking = true
  socket.setTimeout(600, () => { timeouts++ })
  const taking = setInterval(() => { if (isTaking) client.read(400_000) }, 20)
  await delay(1200)
  t.equal(timeouts, 0)
  isTaking = false
  await until(() => timeouts > 0, 'it is silent')
  clearInterval(taking)
  const ended = readAll(client.resume())
  socket.destroySoon()
  await ended
  t.equal(socket.writableLength, 0)
  server.close()
})

t.test('a client that goes on sending after its last request is sent a FIN, not an RST', async (t) => {
  const { target } = await serverFor(t, { PROFILE: 'bench' })
  let resets = 0
  for (let i = 0; i < 300; i++) {
    const client = await connect(target('http'))
    client.on('error', () => { resets++ })
    const received = readAll(client)
    client.write(CLOSE.replace('/last', '/healthz'))
    for (const end = performance.now() + i / 1000; performance.now() < end;);
    client.write('more')
    t.match(String(await received), /^HTTP\/1\.1 200 /)
  }
  t.equal(resets, 0)
})

t.test('what cannot be read is closed', async (t) => {
  const { app } = await serverFor(t)
  const server = createNetServer()
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const failed = new Promise<readonly [unknown, unknown]>((resolve) => takeHandles(server, (handle) => {
    handle.readStart = () => -107
    const socket = new LazySocket(handle, app.inside as Inside, AT_ONCE) as unknown as Socket
    socket.on('error', (error) => { socket.on('close', (hadError) => resolve([error, hadError])) })
  }))
  const client = await connect({ host: '127.0.0.1', port: (server.address() as AddressInfo).port })
  t.match(await failed, [{ code: 'ENOTCONN', syscall: 'read', message: 'read ENOTCONN' }, true])
  t.equal(String(await readAll(client)), '')
  server.close()
})

/** Asks twice; how many sockets with streams Node.js made for that. */
const streamsFor = (t: Test, { target }: TestServer) => streamsMade(async () => {
  for (let i = 0; i < 2; i++) {
    const client = await connect(target('http'))
    client.write(CLOSE.replace('/last', '/healthz'))
    t.match(String(await readAll(client)), /^HTTP\/1\.1 200 /)
  }
})

const isWarned = ({ log }: TestServer) => log.some(({ msg }) => msg === 'this Node.js has no way to make the streams of an HTTP client later: each connection costs more')

t.test('this Node.js can', async (t) => {
  const server = await serverFor(t)
  t.equal(isWarned(server), false)
  t.equal(await streamsFor(t, server), 0)
})

const fails = () => { throw new Error('it is another') }

/** Of Node.js's handles: the method, what it is instead, and what is wrong with that. */
const OTHERS = [
  ['writeLatin1String', forThose(LazySocket, () => -1), 'fails'],
  ['writeLatin1String', forThose(LazySocket, () => 0), 'writes nothing'],
  ['writeLatin1String', forThose(LazySocket, fails), 'throws'],
  ['getpeername', forThose(LazySocket, () => -1), 'fails'],
  ['getpeername', forThose(LazySocket, fails), 'throws']
] as const

for (const [name, make, title] of OTHERS) {
  t.test(`where ${name} ${title}, its clients have streams`, async (t) => {
    const server = await withInside(name, make, () => serverFor(t))
    t.equal(isWarned(server), true)
    t.equal(await streamsFor(t, server), 2)
  })
}

for (const name of ['cork', 'uncork', 'write', 'destroySoon', 'push', 'become'] as const) {
  t.test(`where ${name} is not what Node.js expects of it, its clients have streams`, async (t) => {
    const descriptor = Object.getOwnPropertyDescriptor(LazySocket.prototype, name) as PropertyDescriptor
    Object.defineProperty(LazySocket.prototype, name, { ...descriptor, value: fails })
    t.teardown(() => { Object.defineProperty(LazySocket.prototype, name, descriptor) })
    const server = await serverFor(t)
    t.equal(isWarned(server), true)
    t.equal(await streamsFor(t, server), 2)
  })
}

for (const [name, change, title] of [
  ['_onTimeout', () => fails, 'throws'],
  ['_onTimeout', () => function (this: Socket) { return this.emit('timeout') }, 'knows nothing of what a client has been sent'],
  ['setTimeout', (original) => function (this: object, ...args: unknown[]) { return this instanceof LazySocket ? this : Reflect.apply(original, this, args) as unknown }, 'sets none']
] as const satisfies [string, (original: () => unknown) => (this: Socket) => unknown, string][]) {
  t.test(`where ${name} ${title}, its clients have streams`, async (t) => {
    const prototype = Socket.prototype as unknown as Record<string, () => unknown>
    t.intercept(prototype, name, { value: change(prototype[name] as () => unknown), writable: true })
    const server = await serverFor(t)
    t.equal(isWarned(server), true)
    t.equal(await streamsFor(t, server), 2)
  })
}

t.test('who is more than the parser reads for has streams at once', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench' })
  const { target, endpoint } = server
  const others = await Promise.all(Array.from({ length: MAX_DIRECT_CLIENTS }, () => connect(target('http'))))
  await until(() => endpoint('http').open === others.length, 'all are accepted')
  t.equal(await streamsFor(t, server), 2)
  others.pop()?.destroy()
  await until(() => endpoint('http').open < others.length + 1, 'one has gone')
  t.equal(await streamsFor(t, server), 0)
  for (const other of others) other.destroy()
})

t.test('a server that closes waits for its clients', async (t) => {
  const server = await serverFor(t)
  const [client, socket] = await connectBoth(server)
  const { _handle: handle } = socket
  const { close } = handle
  handle.close = (onClosed) => { setTimeout(() => close.call(handle, onClosed), 200) }
  let isClosed = false
  socket.on('close', () => { isClosed = true })
  client.write(KEEP)
  await once(client, 'data')
  t.ok(socket instanceof LazySocket)
  await server.app.close()
  t.equal(isClosed, true)
})
