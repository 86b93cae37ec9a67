/** Trials at the start of what Node.js does not document: conversations with a server of their own. */
import { connect, type Server, type Socket } from 'node:net'
import { addAbortSignal } from 'node:stream'
import { reachable } from '../address.ts'
import { close, listen } from './net-server.ts'

const TRIAL_MS = 1000

/** More than most systems take at once. */
export const LARGE_BYTES = 4_194_304

export interface Trial {
  /** Aborted when the time is over, and when something was thrown that is guarded. */
  readonly signal: AbortSignal
  /** A new client of the server. */
  connect (): Socket
  /** What a client is still sent until its end. */
  rest (client: Socket): Promise<Buffer>
  /** The same function, but what it throws fails the trial: Node.js calls it from a callback of its own, and it would end the process. */
  guarded<This, Arguments extends unknown[], Result> (act: (this: This, ...values: Arguments) => Result): (this: This, ...values: Arguments) => Result
}

/** Has a server listen while `act` talks with it, and ends whoever is there then. Undefined where that fails or takes too long. */
export async function tryOut<T> (server: Server, host: string, act: (trial: Trial) => Promise<T>): Promise<T | undefined> {
  const sockets: Socket[] = []
  const keep = (socket: Socket) => {
    sockets.push(socket.on('error', nothing))
    return socket
  }
  const failure = new AbortController()
  const timer = setTimeout(() => failure.abort(), TRIAL_MS)
  const guarded: Trial['guarded'] = (act) => function (...values) {
    try {
      return act.apply(this, values)
    } catch (error) {
      failure.abort(error)
      return undefined as ReturnType<typeof act>
    }
  }
  const { signal } = failure
  const rest = async (client: Socket) => {
    const chunks: Buffer[] = []
    for await (const chunk of addAbortSignal(signal, client)) chunks.push(chunk as Buffer)
    return Buffer.concat(chunks)
  }
  // Strangers may come, too.
  server.on('connection', keep)
  try {
    const address = reachable(host)
    const port = await listen(server, { host: address, port: 0 })
    const result = await act({ signal, connect: () => keep(connect({ host: address, port })), rest, guarded })
    return signal.aborted ? undefined : result
  } catch {
    return undefined
  } finally {
    clearTimeout(timer)
    for (const socket of sockets) guarded(socket.destroy).call(socket)
    await close(server)
  }
}

function nothing (): void {}
