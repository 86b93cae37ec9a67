/** What of ws its runner needs and ws does not document: found out at the start, with clients that are nowhere. Else ws has every client as it likes. */
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type { WebSocket, WebSocketServer } from 'ws'
import { Turn } from '../turn.ts'
import { AnswerBatch } from './answer-batch.ts'
import { MessageDelivery } from './message-delivery.ts'
import { WebSocketWriter } from './websocket-writer.ts'

/**
 * Whether ws takes what it is told as its socket's data, writes and ends by its socket's own `write` and `end`, so that nothing overtakes
 * the answers that wait, and shows what it has refused.
 */
export function worksWith (server: Pick<WebSocketServer, 'handleUpgrade'>): boolean {
  const sockets: Duplex[] = []
  try {
    const talks = connect(server, sockets)
    talks.writer.begin()
    talks.tell('\x81\x81\0\0\0\0A')
    talks.give('\x89\x81\0\0\0\0B')
    talks.tell('\x81\x81\0\0\0\0C')
    for (const piece of ['\x82\x81\0\0', '\0\0D']) talks.give(piece)
    talks.tell('\x81\x81\0\0\0\0E')
    talks.raw.emit('end')
    talks.writer.end()
    const isInOrder = talks.sent() === '\x81\x01A\x8a\x01B\x81\x01C\x82\x01D\x81\x01E' && talks.raw.writableEnded

    const breaks = connect(server, sockets)
    const { hasRefused } = breaks.delivery
    // Not masked (RFC 6455, section 5.1).
    breaks.give('\x81\x01A')
    const isShown = !hasRefused && breaks.delivery.hasRefused
    return isInOrder && isShown
  } catch {
    return false
  } finally {
    for (const socket of sockets) socket.destroy()
  }
}

/**
 * A client, its messages answered with the same: short ones from the batch, what is for ws by ws.
 * @param sockets gets its socket, which is to be destroyed.
 */
function connect (server: Pick<WebSocketServer, 'handleUpgrade'>, sockets: Duplex[]) {
  const sent: Buffer[] = []
  const raw = new Duplex({
    read () {},
    write (chunk: Buffer, _encoding, done) {
      sent.push(chunk)
      done()
    }
  }) as Socket
  sockets.push(raw)
  const request = Object.assign(new IncomingMessage(raw), {
    method: 'GET',
    url: '/',
    httpVersion: '1.1',
    headers: { host: 'oneloop', connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'b25lbG9vcCBpcyBzdGFydA==' }
  })
  let upgraded: WebSocket | undefined
  server.handleUpgrade(request, raw, Buffer.alloc(0), (webSocket) => { upgraded = webSocket })
  const socket = upgraded as unknown as WebSocket
  socket.on('error', nothing).on('message', (message: Buffer) => socket.send(message))
  const writer = new WebSocketWriter(socket, raw, new AnswerBatch(new Turn(0)), Buffer.alloc(0))
  writer.watch()
  const delivery = new MessageDelivery(socket, raw, writer)
  delivery.taker = { isBorrowing: true, take: (message, isBinary) => { writer.answer(message, message.length, isBinary) } }
  sent.length = 0
  return {
    raw,
    writer,
    delivery,
    tell (frame: string) {
      const bytes = Buffer.from(frame, 'latin1')
      delivery.tell(bytes, 0, bytes.length, false)
    },
    give: (bytes: string) => delivery.give(Buffer.from(bytes, 'latin1')),
    sent: () => Buffer.concat(sent).toString('latin1')
  }
}

function nothing (): void {}
