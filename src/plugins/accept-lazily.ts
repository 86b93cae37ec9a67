/** Accepting HTTP clients on sockets whose streams are made when something needs them, where this Node.js can. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server, Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import fastifyPlugin from 'fastify-plugin'
import { Turn } from '../turn.ts'
import { takeHandles, type Handle, type Inside } from './handle.ts'
import { LazySocket } from './lazy-socket.ts'
import { LARGE_BYTES, tryOut } from './trial.ts'

declare module 'fastify' {
  interface FastifyInstance { acceptLazily: AcceptLazily }
}

/**
 * Has a server that listens give its clients to an HTTP server as LazySockets, in place of its 'connection' event. Does nothing where
 * this Node.js cannot.
 * @param turn HTTP's.
 * @param isWanted whether it does so for the next one.
 */
export type AcceptLazily = (server: Server, http: Server, turn: Turn, isWanted?: () => boolean) => void

const acceptBy = (inside: Inside): AcceptLazily => (server, http, turn, isWanted) => {
  takeHandles(server, (handle) => http.emit('connection', new LazySocket(handle, inside, turn)), isWanted)
}

/**
 * Whether Node.js's HTTP server takes such a socket for what it is, with its streams and without: two requests, answers of text and of
 * bytes that have to wait, a client that is silent, the client's FIN, and one that breaks off.
 */
async function works (inside: Inside, host: string): Promise<boolean> {
  const long = 'x'.repeat(LARGE_BYTES)
  const server = createServer(({ url }, response) => {
    response.end(url === '/text' ? long : url === '/bytes' ? Buffer.from(long) : url, url === '/two' ? 'latin1' : 'utf8')
  })
  const sockets: Socket[] = []
  // Nothing is begun in it, so it sends all answers at once.
  const turn = new Turn(0)
  return await tryOut(server, host, async ({ signal, connect, rest, guarded }) => {
    const tried: Inside = { ...inside, onRead: guarded(inside.onRead) }
    takeHandles(server, guarded((handle: Handle) => {
      const socket = new LazySocket(handle, tried, turn) as unknown as ServerSocket
      sockets.push(socket)
      // Whatever Node.js calls by itself.
      Object.assign(socket, {
        emit: guarded(socket.emit),
        _onTimeout: guarded(socket._onTimeout),
        write (data: string, encoding: BufferEncoding, onWritten?: () => void) {
          const { write } = Object.getPrototypeOf(socket) as Socket
          return write.call(socket, data, encoding, onWritten && guarded(onWritten))
        }
      })
      server.emit('connection', socket)
      const { parser } = socket
      for (const name of ['onIncoming', parser.constructor.kOnExecute]) parser[name] = guarded(parser[name] as () => unknown)
    }))
    const accepted = async () => {
      const client = connect()
      await once(client, 'connect', { signal })
      const find = () => sockets.find(({ remotePort }) => remotePort === client.localPort)
      while (!find() && !signal.aborted) await nextTurn()
      return [client, find() as Socket] as const
    }
    let sent = 0
    const ask = (client: Socket, path: string, connection: string) => {
      const text = `GET ${path} HTTP/1.1\r\nHost: oneloop\r\nConnection: ${connection}\r\n\r\n`
      sent += text.length
      client.write(text)
    }

    const [short, lazy] = await accepted()
    ask(short, '/one', 'keep-alive')
    const [first] = await once(short, 'data', { signal }) as [Buffer]
    ask(short, '/two', 'close')
    const second = await rest(short)
    if (!(lazy instanceof LazySocket) || lazy.bytesRead !== sent || lazy.bytesWritten !== first.length + second.length) return false
    if (!first.includes('\r\n\r\n/one') || !second.includes('\r\n\r\n/two')) return false

    for (const path of ['/text', '/bytes']) {
      const [client, socket] = await accepted()
      ask(client, path, 'keep-alive')
      await once(client, 'readable', { signal })
      if (socket instanceof LazySocket || socket.writableLength < LARGE_BYTES / 4) return false
      if (!knowsProgress(socket as ServerSocket, inside)) return false
      ask(client, '/three', 'close')
      const third = await rest(client)
      if (third.length < LARGE_BYTES || !third.subarray(-6).equals(Buffer.from('/three'))) return false
    }

    const [silent, sleeping] = await accepted()
    const late = once(sleeping, 'timeout', { signal })
    sleeping.setTimeout(1)
    await late
    if (!(sleeping instanceof LazySocket)) return false
    await rest(silent)
    const [ends] = await accepted()
    ends.end()
    await rest(ends)
    const [breaks, broken] = await accepted()
    const failed = once(broken, 'error', { signal }) as Promise<[NodeJS.ErrnoException]>
    breaks.resetAndDestroy()
    const [{ code }] = await failed
    if (!broken.destroyed) return false
    await once(broken, 'close', { signal })
    return code === 'ECONNRESET'
  }) ?? false
}

/** Whether its timer, when it fires, takes a client that has been sent more since the last time for one that is not silent. */
function knowsProgress (socket: ServerSocket, { lastWriteQueueSize }: Inside): boolean {
  const { writeQueueSize } = socket._handle
  Object.assign(socket, { [lastWriteQueueSize]: writeQueueSize + 1 })
  let isSilent = false
  const onTimeout = () => { isSilent = true }
  socket.once('timeout', onTimeout)
  socket._onTimeout()
  socket.off('timeout', onTimeout)
  return !isSilent && Reflect.get(socket, lastWriteQueueSize) === writeQueueSize
}

/** With Node.js's parser of it. */
type ServerSocket = Socket & { _handle: Handle, _onTimeout (): void, parser: Record<string | number, unknown> & { constructor: { kOnExecute: number } } }

function nothing (): void {}

export const acceptingLazily = fastifyPlugin(async function acceptingLazily (app) {
  const { inside, config } = app
  const isAble = inside !== undefined && await works(inside, config.host)
  if (!isAble) app.log.warn('this Node.js has no way to make the streams of an HTTP client later: each connection costs more')
  app.decorate('acceptLazily', isAble ? acceptBy(inside) : nothing)
})
