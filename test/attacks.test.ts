/** The corpus of raw attacks: each is answered as documented and leaves nothing behind. `npm run fuzz` repeats them all and checks that the heap does not grow. */
import { once } from 'node:events'
import { existsSync, readdirSync } from 'node:fs'
import type { Socket } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/websocket.ts'
import { FIN, httpAttacks, type Attack } from './corpus-http.ts'
import { websocketAttacks } from './corpus-websocket.ts'
import { connect, serverFor, TIMEOUT_MS, until, type TestServer } from './support.ts'

/** Rounds of all attacks in the longer run. */
const ROUNDS = 10
/** Allowed growth of the heap in all rounds: less than a socket or a session kept by each attack. */
const MAX_GROWTH_BYTES = 2_097_152
const MIB = 1_048_576
/** All attacks come from one address without pauses. */
const SETTINGS = { HTTP_RATE: '100000', HTTP_BURST: '100000' }
/** "Going away", masked by zeros. */
const CLOSE_REPLY = Buffer.from('888200000000' + '03e9', 'hex')

/** Sends an attack, one part after each answer, and answers a close frame. Resolves once the server has closed. */
async function play (server: TestServer, { parts }: Attack): Promise<{ answers: string[], text: string }> {
  const socket = await connect(server.target('http'), { allowHalfOpen: true })
  const left = [...parts]
  const chunks: Buffer[] = []
  const last: string[] = []
  const next = () => {
    const part = left.shift()
    if (part !== undefined && part !== FIN) socket.write(part, 'latin1')
    if (part === FIN || left[0] === FIN) socket.end()
  }
  socket.setTimeout(TIMEOUT_MS, () => {
    last.push('still open')
    socket.destroy()
  })
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    next()
    if (readAnswers(Buffer.concat(chunks)).some((answer) => answer.startsWith('close'))) socket.end(CLOSE_REPLY)
  })
  next()
  await new Promise((resolve) => { socket.once('end', resolve).once('close', resolve) })
  socket.destroy()
  await isForgotten(server)
  const received = Buffer.concat(chunks)
  return { answers: [...readAnswers(received), ...last], text: received.toString('latin1') }
}

/** The answers in order: statuses of HTTP, and WebSocket frames after a 101. */
function readAnswers (received: Buffer): string[] {
  const text = received.toString('latin1')
  const upgrade = text.indexOf('HTTP/1.1 101 ')
  const end = upgrade < 0 ? text.length : text.indexOf('\r\n\r\n', upgrade) + 4
  const statuses = [...text.slice(0, end).matchAll(/HTTP\/1\.1 (\d{3}) [^\r]+\r\n/g)].map(([, status]) => String(status))
  return [...statuses, ...readFrames(received.subarray(end))]
}

const OPCODES: Readonly<Record<number, string>> = { 0x1: 'text', 0x2: 'binary', 0x8: 'close', 0xa: 'pong' }

function readFrames (bytes: Buffer): string[] {
  const frames: string[] = []
  for (let at = 0; at + 2 <= bytes.length;) {
    const [first = 0, short = 0] = bytes.subarray(at, at + 2)
    const start = at + (short === 126 ? 4 : short === 127 ? 10 : 2)
    if (start > bytes.length) break
    const length = short === 126 ? bytes.readUInt16BE(at + 2) : short === 127 ? Number(bytes.readBigUInt64BE(at + 2)) : short
    if (start + length > bytes.length) break
    const payload = bytes.subarray(start, start + length)
    at = start + length
    const name = OPCODES[first & 0x0f] ?? `opcode ${first}`
    if (name === 'close') frames.push(length === 0 ? name : `${name} ${payload.readUInt16BE(0)}`)
    else frames.push(`${name} ${length > 125 ? `${length} bytes` : payload.toString('latin1')}`)
  }
  return frames
}

/** Open descriptors of this process, which has both server and clients; 0 if the system does not report them. */
const descriptors = () => existsSync('/proc/self/fd') ? readdirSync('/proc/self/fd').length : 0

const isForgotten = ({ app }: TestServer) => until(() => app.endpoints.every(({ open }) => open === 0), 'all connections are forgotten')

async function isServed (server: TestServer): Promise<boolean> {
  const target = server.target('http')
  const { status } = await get(target, '/healthz', TIMEOUT_MS)
  const { data } = await ask({ ...target, path: '/ws/echo' }, 'Hello', { timeoutMs: TIMEOUT_MS })
  return status === 200 && String(data) === 'Hello'
}

async function heapBytes (): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let i = 0; i < 3; i++) {
    await new Promise(setImmediate)
    collect()
  }
  return process.memoryUsage().heapUsed
}

for (const [name, attacks] of [['http', httpAttacks], ['websocket', websocketAttacks]] as const) {
  t.test(name, async (t) => {
    const server = await serverFor(t, SETTINGS)
    server.unsubscribe()
    await isServed(server)
    await isForgotten(server)
    const before = descriptors()

    for (const attack of attacks) {
      await t.test(attack.name, async (t) => {
        const { answers, text } = await play(server, attack)
        t.same(answers, attack.answers)
        if (attack.match) t.match(text, attack.match)
        t.ok(await isServed(server), 'a fresh client is served')
        await isForgotten(server)
        await until(() => descriptors() <= before, 'all descriptors are closed')
        t.same(server.log.filter(({ level }) => level >= 50), [], 'nothing is logged as an error')
        server.log.length = 0
      })
    }

    if (process.env.FUZZ_RUNS === undefined) return
    await t.test(`${ROUNDS} rounds more do not grow the heap`, async (t) => {
      const start = await heapBytes()
      for (let round = 0; round < ROUNDS; round++) {
        for (const attack of attacks) {
          const { answers } = await play(server, attack)
          if (String(answers) !== String(attack.answers)) t.same(answers, attack.answers, attack.name)
        }
        server.log.length = 0
      }
      const growth = await heapBytes() - start
      t.ok(growth < MAX_GROWTH_BYTES, `${growth} bytes more`)
    })
  })
}

const PING = '\x89\x80\0\0\0\0'
const HANDSHAKE = websocketAttacks.find(({ name }) => name === 'an empty message')?.parts[0] ?? ''

t.test('a client that floods with pings and reads no pongs is ended', async (t) => {
  const server = await serverFor(t, { PROFILE: 'bench', WS_MAX_UNSENT_BYTES: '1000' })
  const socket = await connect(server.target('http'))
  socket.pause()
  const large = `\x89\xfd\0\0\0\0${'x'.repeat(125)}`
  socket.write(HANDSHAKE + large.repeat(200_000), 'latin1')
  await until(() => server.log.some(({ reason }) => reason === 'reads too slowly: WS_MAX_UNSENT_BYTES'), 'the reason is logged')
  await isForgotten(server)
  socket.destroy()
  t.ok(await isServed(server), 'a fresh client is served')
})

t.test('a client that pings faster than WS_RATE gets pongs for its burst, then 1008', async (t) => {
  const server = await serverFor(t, { WS_RATE: '10', WS_BURST: '100' })
  // Each part waits for the previous pong, so that no pong is pending.
  const { answers } = await play(server, { name: '', parts: [HANDSHAKE, ...Array<string>(1500).fill(PING)], answers: [] })
  const pongs = answers.filter((answer) => answer === 'pong ').length
  t.ok(pongs >= 100 && pongs < 200, `${pongs} pongs`)
  t.equal(answers.at(-1), 'close 1008')
})

t.test('bad URLs count against HTTP_RATE and are logged', async (t) => {
  const server = await serverFor(t, { HTTP_RATE: '1', HTTP_BURST: '20' })
  const bad = 'GET /%zz HTTP/1.1\r\nHost: oneloop\r\n\r\n'
  const { answers } = await play(server, { name: '', parts: [bad.repeat(99) + bad.replace('Host', 'Connection: close\r\nHost')], answers: [] })
  const count = (status: string) => answers.filter((answer) => answer === status).length
  t.ok(count('400') >= 20 && count('400') < 30, `${count('400')} of them were answered`)
  t.equal(count('429'), 1, 'and what is behind the refusal is nobody\'s')
  t.ok(server.log.some(({ msg, url, status }) => msg === 'request' && url === '/%zz' && status === 400))
})

t.test('a body in chunks of a byte is counted and not kept', async (t) => {
  const server = await serverFor(t, { HTTP_MAX_BODY_BYTES: '200000' })
  const accepted = once(server.app.server, 'connection')
  const socket = await connect(server.target('http'))
  const [peer] = await accepted as [Socket]
  const answer = once(socket, 'data')
  const chunk = '1\r\nx\r\n'
  const before = await heapBytes()
  const sent = `POST /nothing HTTP/1.1\r\nHost: oneloop\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(200_000)}`
  socket.write(sent)
  await until(() => peer.bytesRead === sent.length, 'it is read')
  const growth = await heapBytes() - before
  // This process also holds the sent text, but the chunks would take far more.
  t.ok(growth < 4 * MIB, `${growth} bytes more`)
  socket.write(chunk)
  t.match(String(await answer), /^HTTP\/1\.1 413/)
  socket.destroy()
})

t.test('requests without a Host header count against HTTP_RATE', async (t) => {
  const server = await serverFor(t, { HTTP_RATE: '1', HTTP_BURST: '20' })
  const upgrade = HANDSHAKE.replace(/Host: .*\r\n/, '')
  const answers = await Promise.all(Array.from({ length: 40 }, async () => (await play(server, { name: '', parts: [upgrade], answers: [] })).answers))
  const count = (status: string) => answers.flat().filter((answer) => answer === status).length
  t.ok(count('400') >= 20 && count('400') < 30, `${count('400')} were told why`)
  t.equal(count('400') + count('429'), 40)
})

t.test('a client that does not close after its last answer is ended', async (t) => {
  const server = await serverFor(t)
  const socket = await connect(server.target('http'), { allowHalfOpen: true })
  socket.resume().write('GET /healthz HTTP/1.1\r\nHost: oneloop\r\nConnection: close\r\n\r\n')
  await once(socket, 'end')
  await isForgotten(server)
  t.notOk(socket.writableEnded, 'though it did nothing')
  socket.destroy()
})

t.test('a client that never answers a close frame is ended after WS_CLOSE_MS', async (t) => {
  const server = await serverFor(t, { WS_CLOSE_MS: '200' })
  const socket = await connect(server.target('http'), { allowHalfOpen: true })
  socket.resume().write(`${HANDSHAKE}\x83\x80\0\0\0\0`, 'latin1')
  await until(() => server.endpoint('ws-echo').total === 1, 'it is connected')
  await isForgotten(server)
  t.notOk(socket.writableEnded, 'though it did nothing')
  socket.destroy()
})
