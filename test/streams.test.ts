/** Order and completeness on every protocol: half-close, RST, and readers that are slow or stop. */
import { randomBytes, randomInt } from 'node:crypto'
import { once } from 'node:events'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { frame as frameText } from './corpus-websocket.ts'
import { connect, handshake, readAll, serverFor, settled, until } from './support.ts'

const MIB = 1_048_576
const SETTINGS = { PROFILE: 'bench', WS_RATE: '1000000', WS_BURST: '1000000' }

const frame = (text: string, opcode = 2, isLast = true): Buffer => Buffer.from(frameText(opcode, text, { isLast }), 'latin1')
const BYE = frame('\x03\xe8', 8)

/** The server's frames after its handshake, each as `opcode:payload`. */
function frames (bytes: Buffer): string[] {
  const list: string[] = []
  for (let at = bytes.indexOf('\r\n\r\n') + 4; at < bytes.length;) {
    let length = bytes.readUInt8(at + 1)
    let head = 2
    if (length === 126) [length, head] = [bytes.readUInt16BE(at + 2), 4]
    list.push(`${bytes.readUInt8(at) & 15}:${bytes.toString('latin1', at + head, at + head + length)}`)
    at += head + length
  }
  return list
}

const numbered = (count: number) => Array.from({ length: count }, (_, i) => `message ${i}`)
const binary = (texts: readonly string[]) => texts.map((text) => `2:${text}`)

t.test('streams', async (t) => {
  const server = await serverFor(t, SETTINGS)
  const { target } = server

  t.test('a stream comes back whole and in order, however it is split, and after a FIN', async (t) => {
    const data = randomBytes(12 * MIB)
    const socket = await connect(target('echo'), { allowHalfOpen: true })
    const received = readAll(socket)
    for (let at = 0; at < data.length;) {
      const end = at + (randomInt(4) === 0 ? randomInt(1, 300_000) : randomInt(1, 3000))
      if (!socket.write(data.subarray(at, end))) await once(socket, 'drain')
      at = end
    }
    socket.end()
    t.ok((await received).equals(data))
  })

  t.test('many streams at once: each gets its own bytes', async (t) => {
    const answers = await Promise.all(Array.from({ length: 24 }, async () => {
      const data = randomBytes(2 * MIB)
      const socket = await connect(target('echo'), { allowHalfOpen: true })
      const received = readAll(socket)
      socket.end(data)
      return (await received).equals(data)
    }))
    t.ok(answers.every(Boolean))
  })

  t.test('a reader that stops is not read, holds nobody up, and gets everything once it reads on', async (t) => {
    const data = randomBytes(48 * MIB)
    const slow = await connect(target('echo'), { allowHalfOpen: true })
    slow.pause()
    slow.end(data)
    const endpoint = server.endpoint('echo')
    const taken = await settled(() => endpoint.bytesIn)
    t.ok(slow.writableLength > 0, 'it is not read to its end')
    const other = randomBytes(4 * MIB)
    const socket = await connect(target('echo'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.end(other)
    t.ok((await received).equals(other), 'others are served, with their own bytes')
    t.equal(endpoint.bytesIn - taken, other.length, 'and it still is not read')
    const all = readAll(slow)
    slow.resume()
    t.ok((await all).equals(data))
  })

  t.test('an RST at every step does not affect other clients', async (t) => {
    for (let step = 0; step < 40; step++) {
      const socket = await connect(target('echo'))
      if (step % 4 > 0) socket.write(randomBytes(step % 4 === 1 ? 10 : 2 * MIB))
      if (step % 4 === 2) socket.pause()
      if (step % 4 === 3) await once(socket, 'data')
      socket.resetAndDestroy()
    }
    await until(() => server.endpoint('echo').open === 0, 'all are gone')
    const data = randomBytes(8 * MIB)
    const socket = await connect(target('echo'), { allowHalfOpen: true })
    const received = readAll(socket)
    socket.end(data)
    t.ok((await received).equals(data))
  })

  t.test('messages of one write, also with the handshake, are answered in order up to the close frame', async (t) => {
    const socket = await connect(target('http'))
    const received = readAll(socket)
    const texts = numbered(6000)
    const all = texts.map((text) => frame(text))
    socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...all.slice(0, 20)]))
    socket.write(Buffer.concat([...all.slice(20), BYE, frame('late')]))
    const answers = frames(await received)
    t.same(answers.slice(0, -1), binary(texts))
    t.match(answers.at(-1), /^8:/)
  })

  t.test('pings and fragments between them keep their place', async (t) => {
    const socket = await connect(target('http'))
    const received = readAll(socket)
    const batch = Buffer.concat([frame('a'), frame('b', 2, false), frame('p', 9), frame('c', 0), frame('d', 1), frame('q', 9), BYE])
    socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), batch]))
    t.same(frames(await received).slice(0, -1), ['2:a', '10:p', '2:bc', '1:d', '10:q'])
  })

  t.test('messages before a FIN are all answered', async (t) => {
    for (const count of [10, 3000]) {
      const socket = await connect(target('http'), { allowHalfOpen: true })
      const received = readAll(socket)
      const texts = numbered(count)
      socket.end(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...texts.map((text) => frame(text))]))
      t.same(frames(await received), binary(texts))
    }
  })

  t.test('a peer that stops reading in the middle of a batch gets the rest once it reads on', async (t) => {
    const socket = await connect(target('http'))
    socket.write(handshake('/ws/echo'))
    await once(socket, 'data')
    socket.pause()
    // Linux buffers up to 36 MiB for both directions.
    const texts = Array.from({ length: 48_000 }, (_, i) => `${i} ${'x'.repeat(1000)}`)
    socket.write(Buffer.concat([...texts.map((text) => frame(text)), BYE]))
    await settled(() => server.endpoint('ws-echo').bytesIn)
    t.ok(socket.writableLength > 0, 'it is not read')
    const rest = readAll(socket)
    socket.resume()
    const answers = frames(Buffer.concat([Buffer.from('\r\n\r\n'), await rest]))
    t.same(answers.slice(0, -1), binary(texts))
  })

  t.test('an RST in the middle of a batch does not affect other clients', async (t) => {
    for (let i = 0; i < 10; i++) {
      const socket = await connect(target('http'))
      socket.write(Buffer.concat([Buffer.from(handshake('/ws/echo')), ...numbered(3000).map((text) => frame(text))]))
      if (i % 2 === 0) await once(socket, 'data')
      socket.resetAndDestroy()
    }
    await until(() => server.endpoint('ws-echo').open === 0, 'all are gone')
    t.same(server.log.filter(({ level }) => level >= 50), [])
  })

  t.test('requests are answered in order, wherever they are cut, up to the FIN', async (t) => {
    const names = Array.from({ length: 400 }, (_, i) => `/nothing-${i}`)
    const body = 'x'.repeat(9000)
    const all = names.map((name, i) => i % 50 === 7
      ? `POST ${name} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`
      : `GET ${name} HTTP/1.1\r\nHost: a\r\n\r\n`).join('')
    for (const most of [all.length, 3000, 40]) {
      const socket = await connect(target('http'), { allowHalfOpen: true })
      const received = readAll(socket)
      for (let at = 0; at < all.length;) {
        const end = at + (most === all.length ? most : randomInt(1, most))
        socket.write(all.slice(at, end))
        at = end
        if (randomInt(3) === 0) await nextTurn()
      }
      socket.end()
      t.same(String(await received).match(/\/nothing-\d+/g), names)
    }
  })

  t.test('a client that does not read its answers is not read, and gets all of them once it reads on, after its FIN too', async (t) => {
    const socket = await connect(target('http'), { allowHalfOpen: true })
    socket.pause()
    socket.end('GET /assets/page.js HTTP/1.1\r\nHost: a\r\n\r\nGET /nothing HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(2000))
    const endpoint = server.endpoint('http')
    await settled(() => endpoint.bytesOut)
    const others = await connect(target('http'))
    others.write('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    t.match(String(await readAll(others)), /"ok"/)
    const answers = readAll(socket)
    socket.resume()
    t.same(String(await answers).match(/(?<=HTTP\/1\.1 )(?:200 OK|404 Not Found)/g), Array.from({ length: 2000 }, () => ['200 OK', '404 Not Found']).flat())
  })

  t.test('an RST in the middle of many requests does not affect other clients', async (t) => {
    for (let i = 0; i < 20; i++) {
      const socket = await connect(target('http'))
      socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1 + 500 * (i % 3)))
      if (i % 2 === 0) await once(socket, 'data')
      if (i % 4 === 3) await nextTurn()
      socket.resetAndDestroy()
    }
    await until(() => server.endpoint('http').open === 0, 'all are gone')
    t.same(server.log.filter(({ level }) => level >= 50), [])
  })

  t.test('bytes after the last request are ignored', async (t) => {
    const socket = await connect(target('http'))
    const received = readAll(socket)
    socket.write('GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n' + 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(200))
    t.equal(String(await received).match(/^HTTP\/1\.1 200 OK/gm)?.length, 1)
    const broken = await connect(target('http'))
    const answer = readAll(broken)
    broken.write('GET\r\n\r\n'.repeat(1000))
    t.equal(String(await answer).match(/^HTTP\/1\.1 400 /gm)?.length, 1)
  })

  t.test('a short answer behind a large one is sent even if nothing follows it', async (t) => {
    const socket = await connect(target('http'))
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.write(handshake('/ws/echo'))
    await until(() => chunks.length > 0, 'it is a WebSocket')
    const large = Buffer.concat([Buffer.from('82ff00000000000186a000000000', 'hex'), Buffer.alloc(100_000, 'y')])
    for (let i = 0; i < 5; i++) {
      chunks.length = 0
      socket.write(Buffer.concat([large, frame('short')]))
      await until(() => Buffer.concat(chunks).length === 100_010 + 7, 'both are answered')
    }
    t.same(Buffer.concat(chunks).subarray(-8), Buffer.from('y\x82\x05short', 'latin1'))
    socket.destroy()
  })

  t.test('answers of all lengths keep their place among the frames that ws itself sends', async (t) => {
    const lengths = [0, 1, 125, 126, 127, 2047, 2048, 2049, 4000, 65_535, 3]
    const messages = Array.from({ length: 40 }, () => lengths.map((length) => 'x'.repeat(length))).flat()
    const socket = await connect(target('http'))
    const received = readAll(socket)
    socket.write(handshake('/ws/echo'))
    socket.write(Buffer.concat([...messages.flatMap((text, i) => [frame(text, i % 3 === 0 ? 1 : 2), frame(String(i), 9)]), frame('tr\xc3\xa4ge', 1), BYE]))
    t.same(frames(await received), [...messages.flatMap((text, i) => [`${i % 3 === 0 ? 1 : 2}:${text}`, `10:${i}`]), '1:tr\xc3\xa4ge', '8:\x03\xe8'])
  })
})
