/** Causes one of everything that `/metrics` counts: served, refused and broken clients, and crossed limits. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { get } from '../src/clients/http.ts'
import { ask } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { connect, TIMEOUT_MS, until, type TestServer } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

export async function happenings (server: TestServer): Promise<void> {
  const { target, endpoint } = server
  await ask(target('echo'), { send: Buffer.from('abc'), ...options })
  await sendDatagram(target('udp-echo'), Buffer.from('abc'), options)
  const sender = createSocket('udp4')
  sender.send(Buffer.alloc(1473), target('udp-echo').port, '127.0.0.1')
  await until(() => endpoint('udp-echo').refused === 1, 'a datagram is refused')
  sender.close()
  const socket = await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options)
  socket.send('x'.repeat(1_048_577))
  await once(socket, 'close')
  const reset = await connect(target('sink'))
  reset.write('x')
  await until(() => endpoint('sink').bytesIn === 1, 'it is in')
  reset.resetAndDestroy()
  await get(target('http'), '/nothing', TIMEOUT_MS)
  await until(() => endpoint('sink').open === 0 && endpoint('http').open === 0, 'all are gone')
}
