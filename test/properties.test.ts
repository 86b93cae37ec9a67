/** Any bytes, split in any way, come back identical. */
import { once } from 'node:events'
import fc from 'fast-check'
import t from 'tap'
import { ask } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect } from '../src/clients/websocket.ts'
import { serverFor, TIMEOUT_MS } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }
const bytes = (maxLength: number) => fc.uint8Array({ maxLength, size: 'max' }).map((array) => Buffer.from(array))
/** Pieces of up to 70,000 bytes in all: more than one read of the server. */
const pieces = fc.array(fc.oneof(bytes(16), bytes(7000)), { maxLength: 10 })

t.test('echo over TCP', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  await fc.assert(fc.asyncProperty(pieces, async (parts) => {
    const send = (async function * () {
      for (const part of parts) {
        yield part
        await new Promise(setImmediate)
      }
    })()
    const got = await ask(target('echo'), { send, ...options })
    return got.equals(Buffer.concat(parts))
  }), { numRuns: 150 })
})

t.test('udp-echo', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  await fc.assert(fc.asyncProperty(bytes(1472), async (sent) => {
    const got = await sendDatagram(target('udp-echo'), sent, options)
    return got?.equals(sent)
  }), { numRuns: 150 })
})

t.test('/ws/echo: every message, its kind and their order, split into any fragments', async (t) => {
  const { target } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  const message = fc.oneof(
    fc.record({ isBinary: fc.constant(true), parts: fc.array(bytes(7000), { minLength: 1, maxLength: 5 }) }),
    fc.record({ isBinary: fc.constant(false), parts: fc.array(fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)), { minLength: 1, maxLength: 5 }) })
  )
  await fc.assert(fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 5 }), async (messages) => {
    const got: { data: Buffer, isBinary: boolean }[] = []
    const socket = await connect({ ...target('http'), path: '/ws/echo' }, { ...options, onMessage: (one) => got.push(one) })
    for (const { isBinary, parts } of messages) {
      for (const [index, part] of parts.entries()) socket.send(part, { binary: isBinary, fin: index === parts.length - 1 })
    }
    // The close frame follows the messages, and its answer follows theirs.
    socket.close(1000)
    await once(socket, 'close')
    return got.length === messages.length && messages.every(({ isBinary, parts }, index) =>
      got[index]?.isBinary === isBinary && got[index].data.equals(Buffer.concat(parts)))
  }), { numRuns: 100 })
})
