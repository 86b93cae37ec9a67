/** Accepting TCP clients without a `net.Socket` for each, where this Node.js can. */
import { EventEmitter, once } from 'node:events'
import { createServer, type Server } from 'node:net'
import fastifyPlugin from 'fastify-plugin'
import { takeHandles, type Inside } from './handle.ts'
import { HandleSocket } from './handle-socket.ts'
import type { ReadInto } from './read-into.ts'
import type { TcpSocket } from './tcp-socket.ts'
import { LARGE_BYTES, tryOut } from './trial.ts'

declare module 'fastify' {
  interface FastifyInstance { acceptHandles: AcceptHandles }
}

/** Has a server that listens give its clients as HandleSockets, in place of its 'connection' event. Does nothing where this Node.js cannot. */
export type AcceptHandles = (server: Server, onConnection: (socket: TcpSocket) => void) => void

const acceptBy = (inside: Inside): AcceptHandles => (server, onConnection) => takeHandles(server, (handle) => onConnection(new HandleSocket(handle, inside)))

/** Whether such a socket does what it says: bytes in both directions, more of them than most systems take at once, both FINs, and a client that breaks off. */
async function works (inside: Inside, readInto: ReadInto, host: string): Promise<boolean> {
  const server = createServer()
  const seen: unknown[] = []
  let active = 0
  const memory = Buffer.alloc(4)
  const closed = new EventEmitter()
  const sockets: TcpSocket[] = []
  const isRight = await tryOut(server, host, async ({ signal, connect, rest, guarded }) => {
    acceptBy({ ...inside, onRead: guarded(inside.onRead) })(server, guarded((socket: TcpSocket) => {
      sockets.push(socket)
      Object.defineProperty(socket, inside.updateTimer, { value: () => { active++ } })
      seen.push(socket.remotePort)
      socket.on('error', (error) => seen.push((error as NodeJS.ErrnoException).code))
        .on('end', () => {
          socket.write('ä', nothing)
          socket.write(Buffer.alloc(LARGE_BYTES), () => seen.push('written'))
          if (socket.writableLength === 0) seen.push('written')
          socket.end()
        })
        .on('finish', () => seen.push('finish'))
        .on('close', () => closed.emit('close'))
      readInto(socket, { nextBuffer: () => memory, onRead: (bytes, buffer) => seen.push(buffer.toString('latin1', 0, bytes)) > 0 })
      socket.resume()
    }))
    const [talks, breaks] = [connect(), connect()]
    await Promise.all([talks, breaks].map((client) => once(client, 'connect', { signal })))
    const { localPort } = talks
    const broken = once(closed, 'close', { signal })
    breaks.resetAndDestroy()
    await broken
    const over = once(closed, 'close', { signal })
    // It may fail before anybody waits for it.
    over.catch(nothing)
    talks.end('oneloop')
    const { length } = await rest(talks)
    await over
    const ports = [seen.shift(), seen.shift()]
    return seen.join() === 'ECONNRESET,onel,oop,written,finish' && length === LARGE_BYTES + 2 && active > 1 && ports.includes(localPort)
  })
  for (const socket of sockets) socket.destroy()
  return isRight ?? false
}

function nothing (): void {}

export const accepting = fastifyPlugin(async function accepting (app) {
  const { inside, config } = app
  if (inside) Object.defineProperty(HandleSocket.prototype, inside.updateTimer, { value: HandleSocket.prototype.onActive })
  const isAble = inside !== undefined && await works(inside, app.readInto, config.host)
  if (!isAble) app.log.warn('this Node.js has no way to accept a client without a stream: TCP connections cost more')
  app.decorate('acceptHandles', isAble ? acceptBy(inside) : nothing)
})
