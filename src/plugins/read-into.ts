/** Reading a socket into memory of the caller's choice. The only file that knows how Node.js does it inside, and it finds out at the start whether this one does. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import fastifyPlugin from 'fastify-plugin'
import { reachable } from '../address.ts'
import { close, listen } from './net-server.ts'

declare module 'fastify' {
  interface FastifyInstance { readInto: ReadInto }
}

export interface Reader {
  /** Where the next bytes go. Asked once at the start and after every read, and used until it is asked again. */
  nextBuffer (): Buffer
  /** So many bytes have come, into the buffer that was given last. False: no more, until the socket is resumed. */
  onRead (bytes: number): boolean
}

/** Gives every read of a socket to a reader, in place of its 'data' events. False where this Node.js cannot: then nothing has changed. */
export type ReadInto = (socket: Socket, reader: Reader) => boolean

const TEST_MS = 1000

/**
 * Node.js reads into 64 KiB of fresh memory each time, and gives what is left over back: on small messages a tenth of what an
 * echo costs, on streams a third. `onread` (net.Socket) avoids that, but is documented for sockets that connect, not for those
 * that a server accepts. On these it is set here as `new net.Socket({ onread })` would set it.
 */
export const readInto: ReadInto = (socket, reader) => {
  const slots = slotsOf(socket)
  if (!slots) return false
  const { inside, buffer, callback, generator } = slots
  const next = () => reader.nextBuffer()
  const first = next()
  inside[buffer] = first
  inside[callback] = (bytes: number) => reader.onRead(bytes)
  inside[generator] = next
  slots.handle.useUserBuffer(first)
  return true
}

interface Handle { useUserBuffer (buffer: Uint8Array): void }
type Inside = Record<symbol, unknown>

let names: { buffer: symbol, callback: symbol, generator: symbol } | undefined

function slotsOf (socket: Socket) {
  const { _handle: handle } = socket as Socket & { _handle?: Partial<Handle> }
  if (typeof handle?.useUserBuffer !== 'function') return
  if (!names) {
    const symbols = Object.getOwnPropertySymbols(socket)
    const find = (description: string) => symbols.find((symbol) => symbol.description === description)
    const [buffer, callback, generator] = [find('kBuffer'), find('kBufferCb'), find('kBufferGen')]
    if (!buffer || !callback || !generator) return
    names = { buffer, callback, generator }
  }
  return { ...names, handle: handle as Handle, inside: socket as unknown as Inside }
}

/** Whether `read` does what it says: bytes in their order, the stop, the buffer's change, and the end. */
async function works (read: ReadInto, host: string): Promise<boolean> {
  const server = createServer({ allowHalfOpen: true })
  const sockets: Socket[] = []
  const timer = setTimeout(() => { for (const socket of sockets) socket.destroy(new Error('too late')) }, TEST_MS)
  try {
    const port = await listen(server, host, 0)
    const client = connect({ host: reachable(host), port })
    sockets.push(client)
    const [socket] = await once(server, 'connection') as [Socket]
    sockets.push(socket)
    const buffers = [Buffer.alloc(3), Buffer.alloc(4)] as const
    let text = ''
    let reads = 0
    const isOn = read(socket, {
      nextBuffer: () => buffers[reads % 2] as Buffer,
      onRead (bytes) {
        text += `${(buffers[reads++ % 2] as Buffer).toString('latin1', 0, bytes)}|`
        if (reads === 2) setImmediate(() => socket.resume())
        return reads !== 2
      }
    })
    if (!isOn) return false
    const ended = once(socket, 'end')
    socket.resume()
    client.end('oneloop reads')
    await ended
    return text === 'one|loop| re|ads|'
  } catch {
    return false
  } finally {
    clearTimeout(timer)
    for (const socket of sockets) socket.destroy()
    await close(server)
  }
}

export const reading = fastifyPlugin(async function reading (app) {
  const isAble = await works(readInto, app.config.host)
  if (!isAble) app.log.warn('this Node.js has no way to read into memory that is there already: streams cost more')
  app.decorate('readInto', isAble ? readInto : () => false)
})
