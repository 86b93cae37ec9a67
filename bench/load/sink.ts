/** Connections that send as fast as they are read; an operation is a block. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Meter } from './meter.ts'
import { payloadOf } from './protocols.ts'
import type { LoadResult } from './result.ts'
import { sourceOf } from './stream.ts'

export async function runSink (meter: Meter): Promise<LoadResult> {
  const { host, port, size, connections, sources } = meter.options
  const block = payloadOf(size)
  let isOver = false
  const sockets = Array.from({ length: connections }, (_, i) => connect({ host, port, ...sourceOf(i, sources) }))
  for (const socket of sockets) {
    socket.on('error', (error) => { if (!isOver) meter.fail(socket.bytesWritten > 0 ? 'closed' : 'connect', error.message) })
    socket.on('end', () => { if (!isOver) meter.fail('closed', 'the server closed') })
    const write = () => {
      if (isOver || socket.destroyed) return
      socket.write(block, (error) => {
        if (error) return
        if (meter.isMeasuring) {
          meter.operations++
          meter.bytes += size
        }
        // Not at once: a write that never has to wait would leave no turn to the clock.
        setImmediate(write)
      })
    }
    socket.on('connect', () => {
      write()
      write()
    })
  }
  await meter.measure()
  isOver = true
  await Promise.all(sockets.filter((socket) => !socket.closed).map((socket) => once(socket.destroy(), 'close')))
  return meter.result()
}
