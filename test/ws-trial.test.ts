/** A ws that works in another way than its runner needs: found out at the start, and then each client is ws's, as Node.js reads it. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Duplex, type Writable } from 'node:stream'
import t, { type Test } from 'tap'
import * as ws from 'ws'
import { AnswerBatch } from '../src/plugins/answer-batch.ts'
import { worksWith } from '../src/plugins/ws-trial.ts'
import { frameBytes as frame } from './corpus-websocket.ts'
import { connect, handshake, readAll, serverFor, settled, type TestServer } from './support.ts'

const MIB = 1_048_576
const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000' }
const BYE = frame(8, Buffer.of(0x03, 0xe8))

/** What is inside of a WebSocket, and of what it sends with. */
interface Inside { readonly _socket: Duplex, readonly _receiver: Writable }
type Method = (this: Inside, ...values: unknown[]) => unknown
/** ws exports both; its types know one of them, and nothing of its inside. */
const { Sender, WebSocket } = ws as unknown as Record<'Sender' | 'WebSocket', { prototype: Record<string, Method> }>

/** Has ws do something more when a WebSocket gets its socket. */
function afterSetSocket (t: Test, act: (inside: Inside) => void): void {
  const { setSocket } = WebSocket.prototype
  t.intercept(WebSocket.prototype, 'setSocket', {
    value (this: Inside, ...values: unknown[]) {
      setSocket?.apply(this, values)
      act(this)
    }
  })
}

const OTHERS: Readonly<Record<string, (t: Test) => void>> = {
  'writes past its socket\'s own write': (t) => {
    t.intercept(Sender.prototype, 'sendFrame', {
      value (this: Inside, list: Buffer[], done?: () => void) {
        const write = Duplex.prototype.write as (this: Duplex, bytes: Buffer, done?: () => void) => boolean
        write.call(this._socket, Buffer.concat(list.map((part) => Buffer.from(part))), done)
      }
    })
  },
  'ends past its socket\'s own end': (t) => afterSetSocket(t, ({ _socket }) => {
    _socket.removeAllListeners('end').on('end', () => Reflect.apply(Duplex.prototype.end, _socket, []))
  }),
  'takes its data later': (t) => afterSetSocket(t, ({ _socket, _receiver }) => {
    _socket.removeAllListeners('data').on('data', (chunk) => setImmediate(() => _receiver.write(chunk)))
  }),
  'has no way to show what it has refused': (t) => afterSetSocket(t, ({ _receiver }) => {
    Object.defineProperty(_receiver, 'errored', { value: undefined })
  }),
  'never shows what it has refused': (t) => afterSetSocket(t, ({ _receiver }) => {
    Object.defineProperty(_receiver, 'errored', { value: null })
  })
}
const isWarned = ({ log }: TestServer) => log.some(({ msg }) => msg.startsWith('this ws works in another way'))

t.test('this ws works as it is used, and leaves nothing behind', async (t) => {
  const server = new ws.WebSocketServer({ noServer: true })
  t.equal(worksWith(server), true)
  await Promise.all([...server.clients].map((client) => new Promise((resolve) => { client.on('close', resolve) })))
  t.equal(server.clients.size, 0)
  t.equal(isWarned(await serverFor(t)), false)
})

t.test('one that is called in another way does not', async (t) => {
  t.equal(worksWith({ handleUpgrade () { throw new TypeError('it is called in another way') } }), false)
  t.equal(worksWith({ handleUpgrade () {} }), false)
})

for (const [title, change] of Object.entries(OTHERS)) {
  t.test(`where ws ${title}, it has its clients as Node.js reads them`, async (t) => {
    change(t)
    const server = await serverFor(t, SETTINGS)
    t.equal(isWarned(server), true)
    const watched = t.capture(AnswerBatch.prototype, 'watch')

    const socket = await connect(server.target('http'), { allowHalfOpen: true })
    const received = readAll(socket)
    const large = randomBytes(200_000)
    const parts = [large.subarray(0, 70_000), large.subarray(70_000)] as const
    // The first ones come with the handshake.
    socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), frame(1, 'one'), frame(9, 'two'), frame(2, parts[0], { isLast: false })]))
    socket.end(Buffer.concat([frame(0, parts[1]), ...Array.from({ length: 500 }, (_, i) => frame(1, `${i}`)), BYE]))
    const bytes = await received
    const answers = bytes.subarray(bytes.indexOf('\r\n\r\n') + 4)
    const expected = Buffer.concat([
      Buffer.from('\x81\x03one\x8a\x03two\x82\x7f\0\0\0\0\0\x03\x0d\x40', 'latin1'),
      large,
      ...Array.from({ length: 500 }, (_, i) => Buffer.from(`\x81${String.fromCharCode(`${i}`.length)}${i}`, 'latin1')),
      Buffer.from('\x88\x02\x03\xe8', 'latin1')
    ])
    t.ok(answers.equals(expected), 'every answer, in order')
    t.same([...server.endpoint('ws-echo').crossings], [])

    const other = await connect(server.target('http'), { allowHalfOpen: true })
    const rest = readAll(other)
    // The second is not UTF-8 (RFC 6455, section 8.1).
    other.end(Buffer.concat([Buffer.from(handshake('/ws/echo')), frame(1, 'one'), frame(1, Buffer.of(0xff)), frame(1, 'two')]))
    t.equal((await rest).toString('latin1').split('\r\n\r\n')[1], '\x81\x03one\x88\x02\x03\xef', 'and none after a refusal')
    t.equal(watched().length, 0, 'ws has its sockets to itself')
  })
}

t.test('as Node.js reads it, a client that takes no answers is not read on, and gets all of them later', async (t) => {
  OTHERS['takes its data later']?.(t)
  const server = await serverFor(t, SETTINGS)
  let bytesRead = () => 0
  server.app.server.on('connection', (raw) => { bytesRead = () => raw.bytesRead })
  const socket = await connect(server.target('http'))
  socket.write(handshake('/ws/echo'))
  await once(socket, 'data')
  socket.pause()
  const [size, count] = [50_000, 1000]
  const messages = Array.from({ length: count }, (_, i) => frame(2, Buffer.alloc(size, i)))
  socket.end(Buffer.concat([...messages, BYE]))
  const read = await settled(bytesRead)
  t.ok(read < size * count / 2, `${read / MIB} MiB were read`)
  const received = readAll(socket)
  socket.resume()
  const answers = await received
  t.equal(answers.length, count * (4 + size) + 4)
  for (let i = 0; i < count; i++) if (answers[i * (4 + size) + 4] !== i % 256) t.fail(`answer ${i}`)
})
