/** Clients of the TCP services. Every promise rejects with a ClientError. */
import { connect as connectSocket, type Socket } from 'node:net'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Target } from '../shared/address.ts'
import { formatBytes } from '../shared/bytes.ts'
import { ClientError, explain, noAnswer, timedOut } from './client-error.ts'

/** Largest answer that is kept in memory. */
const MAX_ANSWER_BYTES = 67_108_864

export interface TcpOptions {
  /** Longest silence, in milliseconds. */
  readonly timeoutMs: number
  /** Ends the conversation at any point. */
  readonly signal?: AbortSignal
}

export interface Dialogue extends TcpOptions {
  /** What to send before the FIN; nothing by default. */
  readonly send?: Uint8Array | AsyncIterable<Uint8Array> | undefined
  /** Receives the answer as it comes. Reading pauses while a returned promise is pending. */
  readonly onData: (chunk: Buffer) => Promise<void> | void
  /** Largest answer; a larger one is an error. */
  readonly maxBytes?: number
  readonly onConnect?: (socket: Socket) => void
  /** Called on the server's FIN. */
  readonly onEnd?: () => void
}

/** Connects, sends everything and a FIN, and reads until the server's FIN. */
export async function talk (target: Target, { send, onData, maxBytes, onConnect, onEnd, timeoutMs, signal }: Dialogue): Promise<void> {
  await withSocket(target, { timeoutMs, signal }, async (socket) => {
    onConnect?.(socket)
    const patience = new Patience(socket, timeoutMs)
    const answered = readAll(socket, (chunk) => {
      const taken = onData(chunk)
      return taken && patience.during(taken)
    }, maxBytes).then(onEnd)
    // Awaited below: a failure while we still send must not be an unhandled rejection.
    answered.catch(() => {})
    if (send === undefined) socket.end()
    else if (send instanceof Uint8Array) socket.end(send)
    else await pipeline(Readable.from(patience.input(send), { objectMode: false }), socket)
    await answered
  })
}

/** Applies the timeout to the server only: it is off while we wait for our own input or output. */
class Patience {
  readonly #socket: Socket
  readonly #timeoutMs: number
  #waits = 0

  constructor (socket: Socket, timeoutMs: number) {
    this.#socket = socket
    this.#timeoutMs = timeoutMs
  }

  async during<T> (own: Promise<T>): Promise<T> {
    this.#begin()
    try {
      return await own
    } finally {
      this.#end()
    }
  }

  async * input (chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    this.#begin()
    for await (const chunk of chunks) {
      this.#end()
      yield chunk
      this.#begin()
    }
    this.#end()
  }

  #begin (): void {
    this.#waits++
    this.#socket.setTimeout(0)
  }

  #end (): void {
    if (--this.#waits === 0) this.#socket.setTimeout(this.#timeoutMs)
  }
}

/** Like `talk`, but resolves to the whole answer. An empty answer is an error, unless the input may have been empty too. */
export async function ask (target: Target, options: TcpOptions & Pick<Dialogue, 'send'>): Promise<Buffer> {
  const chunks: Buffer[] = []
  await talk(target, { ...options, maxBytes: MAX_ANSWER_BYTES, onData: (chunk) => { chunks.push(chunk) } })
  const { send } = options
  if (chunks.length === 0 && (send === undefined || (send instanceof Uint8Array && send.length > 0))) throw noAnswer(target)
  return Buffer.concat(chunks)
}

/** The `exchange` service: waits for the greeting, sends one message, reads the answer. */
export async function exchange (target: Target, message: Uint8Array, { timeoutMs }: TcpOptions): Promise<{ greeting: Buffer, answer: Buffer }> {
  return await withSocket(target, { timeoutMs }, async (socket) => {
    let greeting = Buffer.alloc(0)
    const rest: Buffer[] = []
    let isGreeted = false
    await readAll(socket, (chunk) => {
      if (isGreeted) {
        rest.push(chunk)
        return
      }
      greeting = Buffer.concat([greeting, chunk])
      if (!greeting.includes('\n')) return
      isGreeted = true
      socket.end(message)
    }, MAX_ANSWER_BYTES)
    if (rest.length === 0) throw noAnswer(target)
    return { greeting, answer: Buffer.concat(rest) }
  })
}

const LINE = 'Hello Python\n'

/** The tutorial's line over and over, up to `bytes`, in pieces of at most 64 KiB. */
export async function * lines (bytes: number): AsyncGenerator<Uint8Array> {
  const block = Buffer.from(LINE.repeat(Math.floor(65_536 / LINE.length)))
  for (let left = bytes; left > 0; left -= block.length) yield left >= block.length ? block : block.subarray(0, left)
}

/** Runs `use` on a new connection and destroys the connection afterwards. */
async function withSocket<T> (target: Target, { timeoutMs, signal }: { timeoutMs: number, signal?: AbortSignal | undefined }, use: (socket: Socket) => Promise<T>): Promise<T> {
  const socket = connectSocket({ host: target.host, port: target.port, timeout: timeoutMs, allowHalfOpen: true })
  let isConnected = false
  const abort = () => socket.destroy(timedOut(target, timeoutMs))
  signal?.addEventListener('abort', abort)
  const failed = new Promise<never>((_resolve, reject) => {
    socket.on('timeout', () => socket.destroy(timedOut(target, timeoutMs)))
    socket.on('error', (error) => reject(explain(error, isConnected ? 'lost' : 'cannot connect to', target)))
  })
  failed.catch(() => {})
  try {
    await Promise.race([new Promise<void>((resolve) => { socket.once('connect', () => resolve()) }), failed])
    isConnected = true
    return await Promise.race([use(socket), failed])
  } catch (error) {
    throw explain(error as Error, 'lost', target)
  } finally {
    signal?.removeEventListener('abort', abort)
    socket.destroy()
  }
}

function readAll (socket: Socket, onData: Dialogue['onData'], maxBytes = Infinity): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('data', (chunk) => {
      if (socket.bytesRead > maxBytes) return socket.destroy(new ClientError('ERR_ANSWER_TOO_LARGE', `the answer is larger than ${formatBytes(maxBytes)}`))
      const taken = onData(chunk)
      if (!taken) return
      socket.pause()
      taken.then(() => socket.resume(), reject)
    })
    socket.once('end', () => resolve())
    socket.once('error', reject)
  })
}
