/** Accepting HTTP clients on sockets whose streams are made when something needs them, where this Node.js can. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server, Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import fastifyPlugin from 'fastify-plugin'
import { takeHandles, type Inside } from './handle.ts'
import { LazySocket } from './lazy-socket.ts'
import { tryOut } from './trial.ts'

declare module 'fastify' {
  interface FastifyInstance { acceptLazily: AcceptLazily }
}

/**
 * Has a server that listens give its clients to an HTTP server as LazySockets, in place of its 'connection' event. Does nothing where
 * this Node.js cannot.
 * @param isWanted whether it does so for the next one.
 */
export type AcceptLazily = (server: Server, http: Server, isWanted?: () => boolean) => void

/** More than most systems take at once. */
const LARGE = 4_194_304

const acceptBy = (inside: Inside): AcceptLazily => (server, http, isWanted) => {
  takeHandles(server, (handle) => http.emit('connection', new LazySocket(handle, inside)), isWanted)
}

/** Whether Node.js's HTTP server takes such a socket for what it is, with its streams and without: two requests, an answer that has to wait, both FINs, and a client that breaks off. */
async function works (inside: Inside, host: string): Promise<boolean> {
  const server = createServer(({ url }, response) => { response.end(url === '/long' ? Buffer.alloc(LARGE) : url, url === '/two' ? 'latin1' : 'utf8') })
  const sockets: Socket[] = []
  server.on('connection', (socket) => sockets.push(socket))
  return await tryOut(server, host, async ({ signal, connect }) => {
    acceptBy(inside)(server, server)
    let sent = 0
    const ask = (client: Socket, path: string, connection: string) => {
      const text = `GET ${path} HTTP/1.1\r\nHost: oneloop\r\nConnection: ${connection}\r\n\r\n`
      sent += text.length
      client.write(text)
    }
    const rest = async (client: Socket) => {
      const chunks: Buffer[] = []
      for await (const chunk of addAbortSignal(signal, client)) chunks.push(chunk as Buffer)
      return Buffer.concat(chunks)
    }

    const short = connect()
    ask(short, '/one', 'keep-alive')
    const [first] = await once(short, 'data', { signal }) as [Buffer]
    const [lazy] = sockets as [Socket]
    if (lazy.remotePort !== short.localPort) return false
    ask(short, '/two', 'close')
    const second = await rest(short)
    if (!(lazy instanceof LazySocket) || lazy.bytesRead !== sent || lazy.bytesWritten !== first.length + second.length) return false
    if (!first.includes('\r\n\r\n/one') || !second.includes('\r\n\r\n/two')) return false

    const long = connect()
    ask(long, '/long', 'keep-alive')
    await once(long, 'readable', { signal })
    if (sockets[1] instanceof LazySocket) return false
    ask(long, '/three', 'close')
    const third = await rest(long)
    if (third.length < LARGE || !third.subarray(-6).equals(Buffer.from('/three'))) return false

    const [ends, breaks] = [connect(), connect()]
    await Promise.all([once(ends, 'connect', { signal }), once(breaks, 'connect', { signal })])
    ends.end()
    breaks.resetAndDestroy()
    await rest(ends)
    return true
  }) ?? false
}

function nothing (): void {}

export const acceptingLazily = fastifyPlugin(async function acceptingLazily (app) {
  const { inside, config } = app
  const isAble = inside !== undefined && await works(inside, config.host)
  if (!isAble) app.log.warn('this Node.js has no way to make the streams of an HTTP client later: each connection costs more')
  app.decorate('acceptLazily', isAble ? acceptBy(inside) : nothing)
})
