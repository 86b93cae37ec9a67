/** Reading a socket into memory of the caller's choice. How Node.js does it inside is not documented: whether this one does is found out at the start. */
import { once } from 'node:events'
import { createServer as createHttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import fastifyPlugin from 'fastify-plugin'
import { holdEnd } from './held-end.ts'
import { tryOut } from './trial.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readInto: ReadInto
    /** For sockets of the HTTP server. */
    readHttpInto: ReadInto
  }
}

export interface Reader {
  /** Where the next bytes go. Asked once at the start and after every read, and used until it is asked again. */
  nextBuffer (): Buffer
  /** So many bytes have come, into that buffer. False: no more, until the socket is resumed. */
  onRead (bytes: number, buffer: Buffer): boolean
}

/** Gives every read of a socket, or of what Node.js reads as one, to a reader, in place of its 'data' events. False where this Node.js cannot: then nothing has changed. */
export type ReadInto = (socket: object, reader: Reader) => boolean

/**
 * Node.js reads into 64 KiB of fresh memory each time, and gives what is left over back: on small messages a tenth of what an
 * echo costs, on streams a third. `onread` (net.Socket) avoids that, but is documented for sockets that connect, not for those
 * that a server accepts. On these it is set here as `new net.Socket({ onread })` would set it.
 */
export const readInto: ReadInto = (socket, reader) => {
  const inside = socket as unknown as Inside
  const handle = inside._handle
  slots ??= slotsOf(socket)
  if (!slots || typeof handle?.useUserBuffer !== 'function') return false
  const isSecond = inside[READER] !== undefined
  inside[READER] = reader
  // Its first bytes come into the memory of the reader before it.
  if (isSecond) return true
  const first = inside[slots.buffer] = reader.nextBuffer()
  inside[slots.callback] = onRead
  inside[slots.generator] = nextBuffer
  handle.useUserBuffer(first)
  return true
}

interface Inside extends Record<symbol, unknown> {
  _handle?: { useUserBuffer?: (buffer: Uint8Array) => void }
}

/** Where a socket keeps its `onread`. */
let slots: { buffer: symbol, callback: symbol, generator: symbol } | undefined

function slotsOf (socket: object): typeof slots {
  const symbols = Object.getOwnPropertySymbols(socket)
  const find = (description: string) => symbols.find((symbol) => symbol.description === description)
  const [buffer, callback, generator] = [find('kBuffer'), find('kBufferCb'), find('kBufferGen')]
  return buffer && callback && generator && { buffer, callback, generator }
}

/** A socket knows its reader, so that all have the same functions: their own would be 150 bytes a connection. */
const READER = Symbol('reader')
let last: Reader | undefined

function onRead (this: Inside, bytes: number, buffer: Buffer): boolean {
  const reader = this[READER] as Reader
  const goesOn = reader.onRead(bytes, buffer)
  // Perhaps another by now.
  last = this[READER] as Reader
  return goesOn
}

/** Asked right after `onRead`, and not of any socket. */
function nextBuffer (): Buffer | undefined {
  return last?.nextBuffer()
}

/** As readInto, for a socket of Node.js's HTTP server: its parser reads for itself until somebody listens to the socket's data. */
export const readHttpInto: ReadInto = (socket, reader) => {
  ;(socket as Socket).on('data', nothing).off('data', nothing)
  return readInto(socket, reader)
}
function nothing (): void {}

/**
 * As Node.js reads a socket: what comes is its 'data'. For one that may be read into memory already, and cannot be read otherwise any more.
 * @param readInto by which that was done.
 */
export const readPlainly = (readInto: ReadInto): ReadInto => (socket, reader) => {
  const raw = socket as Socket
  readInto(raw, { nextBuffer: () => reader.nextBuffer(), onRead: (bytes, buffer) => raw.push(Buffer.from(buffer.subarray(0, bytes))) })
  return false
}

/** Whether `read` does what it says: bytes in their order, the stop, the buffer's change, and the end. */
async function works (read: ReadInto, host: string): Promise<boolean> {
  const buffers = [Buffer.alloc(3), Buffer.alloc(4)] as const
  let text = ''
  let reads = 0
  const isRead = await isReadToEnd(createServer({ allowHalfOpen: true }), host, 'oneloop reads', (socket) => {
    const isOn = read(socket, {
      nextBuffer: () => buffers[reads % 2] as Buffer,
      onRead (bytes, buffer) {
        text += `${buffer.toString('latin1', 0, bytes)}|`
        if (++reads === 2) setImmediate(() => socket.resume())
        return reads !== 2
      }
    })
    socket.resume()
    return isOn
  })
  return isRead && text === 'one|loop| re|ads|'
}

/** Whether `read` has Node.js's HTTP server parse what it is given, and nothing else. */
async function worksForHttp (read: ReadInto, host: string): Promise<boolean> {
  const memory = Buffer.alloc(8)
  const requests: (string | undefined)[] = []
  const server = createHttpServer(({ method, url }, response) => {
    requests.push(method, url)
    response.end()
  })
  const isRead = await isReadToEnd(server, host, 'gET /one HTTP/1.1\r\nHost: oneloop\r\n\r\ngET /two HTTP/1.1\r\nHost: oneloop\r\n\r\n', (socket) => read(socket, {
    nextBuffer: () => memory,
    onRead: (bytes, buffer) => socket.emit('data', Buffer.from(buffer.toString('latin1', 0, bytes).replace('g', 'G')))
  }))
  return isRead && requests.join() === 'GET,/one,GET,/two'
}

/** Sends a text to a server and ends: for trials at the start. Whether `read` took the server's socket, and that came to its end, which could be held. */
export async function isReadToEnd (server: Server, host: string, text: string, read: (socket: Socket) => boolean): Promise<boolean> {
  return await tryOut(server, host, async ({ signal, connect, guarded }) => {
    const client = connect()
    const [socket] = await once(server, 'connection', { signal }) as [Socket]
    if (!read(socket)) return false
    let isHeld = false
    holdEnd(socket, () => {
      if (isHeld) return false
      setImmediate(guarded(() => socket.emit('end')))
      isHeld = true
      return true
    })
    const ended = once(socket, 'end', { signal })
    client.end(text)
    await ended
    return isHeld
  }) ?? false
}

export const reading = fastifyPlugin(async function reading (app) {
  const isAble = await works(readInto, app.config.host)
  if (!isAble) app.log.warn('this Node.js has no way to read into memory that is there already, or to hold a FIN back: streams cost more')
  app.decorate('readInto', isAble ? readInto : () => false)
  const isAbleForHttp = isAble && await worksForHttp(readHttpInto, app.config.host)
  if (!isAbleForHttp) app.log.warn('this Node.js has no way to hand its HTTP parser what it parses: a flood of requests delays all others')
  app.decorate('readHttpInto', isAbleForHttp ? readHttpInto : () => false)
})
