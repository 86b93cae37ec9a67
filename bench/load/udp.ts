/** Keeps datagrams in flight. A datagram that does not come back in time is an error. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import type { Result } from './job.ts'
import { payloadOf, type Meter } from './meter.ts'

const LOST_MS = 1000
/** Shorter in a flood: lost datagrams must not hold the client up. */
const FLOOD_LOST_MS = 10

async function openClient (meter: Meter, index: number): Promise<void> {
  const { size = 64, depth = 1, isFlood } = meter.job
  const { host, port, localAddress } = meter.route(index)
  const payload = payloadOf(size)
  /** Callbacks by the number in a datagram's first four bytes. */
  const answered = new Map<number, () => void>()
  let number = 0
  const socket = createSocket('udp4').on('error', ({ message }) => meter.fail(message))
  await once(socket.bind(0, localAddress), 'listening')
  socket.connect(port, host)
  await once(socket, 'connect')
  socket.on('message', (message) => {
    if (message.length !== size || !message.subarray(4).equals(payload.subarray(4))) return meter.fail('a datagram came back changed')
    const key = message.readUInt32LE()
    // Absent if the datagram was given up, or if this is a second answer.
    answered.get(key)?.()
  })
  const ask = async () => await new Promise<void>((resolve, reject) => {
    const key = ++number
    const datagram = Buffer.from(payload)
    datagram.writeUInt32LE(key)
    const timer = setTimeout(() => end(new Error('a datagram did not come back')), isFlood ? FLOOD_LOST_MS : LOST_MS)
    function end (error?: Error): void {
      clearTimeout(timer)
      answered.delete(key)
      if (error) reject(error)
      else resolve()
    }
    answered.set(key, end)
    socket.send(datagram, (error) => { if (error) end(error) })
  })
  for (let i = 0; i < depth; i++) meter.repeat(ask)
}

export async function runUdp (meter: Meter): Promise<Result> {
  await Promise.all(Array.from({ length: meter.job.connections }, (_, i) => openClient(meter, i)))
  return await meter.measure()
}
