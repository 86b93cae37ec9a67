/** What Node.js has inside of a TCP socket. Nothing of it is documented, so it is looked for at the start. */
import { once } from 'node:events'
import { createServer, Socket, type Server } from 'node:net'
import { getSystemErrorName } from 'node:util'
import fastifyPlugin from 'fastify-plugin'
import { tryOut } from './trial.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Undefined where this Node.js has another. */
    inside: Inside | undefined
  }
}

/** A connection to a client. Numbers that are returned or handed over are 0, or an error's negative number. */
export interface Handle {
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Bytes that were written and that the system has not taken. */
  readonly writeQueueSize: number
  reading?: boolean
  onread: unknown
  readStart (): number
  readStop (): number
  writeBuffer (request: Request, data: Uint8Array): number
  writeUtf8String (request: Request, data: string): number
  writeLatin1String (request: Request, data: string): number
  /** Once all that was written before is taken. */
  shutdown (request: Request): number
  getpeername (out: { address?: string, port?: number }): number
  setNoDelay (isOn: boolean): number
  setKeepAlive (isOn: boolean, delaySeconds: number): number
  close (onClosed: () => void): void
  [owner: symbol]: object | undefined
}

/** A write or a shutdown. It is done when the method returns, unless something has to wait. */
export interface Request {
  oncomplete?: (status: number) => void
  data?: Uint8Array | string
}
type RequestClass = new () => Request

/** As Node.js would make it of an error's negative number: its code is `ECONNRESET`, …, its message `read ECONNRESET`. */
export function systemError (syscall: string, errno: number): Error {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`${syscall} ${code}`), { code, errno, syscall })
}

export interface ServerHandle { onconnection (error: number, client: Handle | undefined): void }

/** What of Node.js's inside is found with a socket of its own. */
export interface Inside {
  readonly Write: RequestClass
  readonly Shutdown: RequestClass
  /** A handle's read callback, and where a handle keeps its socket, whose methods that callback calls. */
  readonly onRead: (this: Handle, ...bytes: unknown[]) => unknown
  readonly owner: symbol
  /** The method that is called at every read. */
  readonly updateTimer: symbol
  /** Where a socket keeps how much of a write the system had not taken when its timer last fired. */
  readonly lastWriteQueueSize: symbol
}

const METHODS = ['onread', 'readStart', 'readStop', 'writeBuffer', 'writeUtf8String', 'writeLatin1String', 'shutdown', 'getpeername', 'setNoDelay', 'setKeepAlive', 'close'] as const

/** Looks at what a socket of Node.js's own has, and at what it makes of a write and of its end. Undefined where that is another. */
async function lookInside (host: string): Promise<Inside | undefined> {
  const server = createServer()
  return await tryOut(server, host, async ({ signal, connect }) => {
    const client = connect().resume()
    const [socket] = await once(server, 'connection', { signal }) as [Socket & { _handle: Handle }]
    const { _handle: handle } = socket
    const seen: { Write?: RequestClass, Shutdown?: RequestClass } = {}
    const { writeUtf8String, shutdown } = handle
    handle.writeUtf8String = function (request, data) {
      seen.Write = request.constructor as RequestClass
      return writeUtf8String.call(this, request, data)
    }
    handle.shutdown = function (request) {
      seen.Shutdown = request.constructor as RequestClass
      return shutdown.call(this, request)
    }
    const ended = once(client, 'end', { signal })
    socket.end('oneloop')
    await ended
    const find = (object: object, description: string) => Object.getOwnPropertySymbols(object).find((symbol) => symbol.description === description)
    const owner = find(handle, 'owner_symbol')
    const updateTimer = find(Socket.prototype, 'kUpdateTimer')
    const lastWriteQueueSize = find(socket, 'lastWriteQueueSize')
    if (!seen.Write || !seen.Shutdown || !owner || !updateTimer || !lastWriteQueueSize || typeof handle.writeQueueSize !== 'number' || typeof handle.bytesWritten !== 'number' || METHODS.some((name) => typeof handle[name] !== 'function')) return
    if (typeof Reflect.get(Socket.prototype, '_unrefTimer') !== 'function') return
    return { Write: seen.Write, Shutdown: seen.Shutdown, onRead: handle.onread as Inside['onRead'], owner, updateTimer, lastWriteQueueSize }
  })
}

/**
 * Has a server that listens give its clients' handles in place of its 'connection' event.
 * @param isWanted whether it does so for the next one.
 */
export function takeHandles (server: Server, onHandle: (handle: Handle) => void, isWanted = () => true): void {
  const { _handle: listening } = server as Server & { _handle: ServerHandle }
  const accept = listening.onconnection
  listening.onconnection = function (status, client) {
    if (status === 0 && client && isWanted()) onHandle(client)
    else accept.call(this, status, client)
  }
}

export const handles = fastifyPlugin(async function handles (app) {
  app.decorate('inside', await lookInside(app.config.host))
})
