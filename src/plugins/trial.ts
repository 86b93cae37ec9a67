/** Trials at the start of what Node.js does not document: conversations with a server of their own. */
import { connect, type Server, type Socket } from 'node:net'
import { reachable } from '../address.ts'
import { close, listen } from './net-server.ts'

const TRIAL_MS = 1000

export interface Trial {
  /** Aborted when the time is over, and when something was thrown. */
  readonly signal: AbortSignal
  /** A new client of the server. */
  connect (): Socket
}

/**
 * Has a server listen while `act` talks with it, and ends whoever is there then. Undefined where that fails or takes too long, and
 * where anything is thrown that nobody catches: Node.js calls what is tried from callbacks of its own.
 */
export async function tryOut<T> (server: Server, host: string, act: (trial: Trial) => Promise<T>): Promise<T | undefined> {
  const sockets: Socket[] = []
  const failure = new AbortController()
  const isCapturing = !process.hasUncaughtExceptionCaptureCallback()
  if (isCapturing) process.setUncaughtExceptionCaptureCallback((error) => failure.abort(error))
  const keep = (socket: Socket) => {
    sockets.push(socket.on('error', nothing))
    return socket
  }
  // Strangers may come, too.
  server.on('connection', keep)
  try {
    const address = reachable(host)
    const port = await listen(server, { host: address, port: 0 })
    const signal = AbortSignal.any([failure.signal, AbortSignal.timeout(TRIAL_MS)])
    const result = await act({ signal, connect: () => keep(connect({ host: address, port })) })
    return failure.signal.aborted ? undefined : result
  } catch {
    return undefined
  } finally {
    for (const socket of sockets) socket.destroy()
    await close(server)
    if (isCapturing) process.setUncaughtExceptionCaptureCallback(null)
  }
}

function nothing (): void {}
