/** Trials at the start of what Node.js does not document: conversations with a server of their own. */
import { connect, type Server, type Socket } from 'node:net'
import { reachable } from '../address.ts'
import { close, listen } from './net-server.ts'

const TRIAL_MS = 1000

export interface Trial {
  /** Aborted when the time is over. */
  readonly signal: AbortSignal
  /** A new client of the server. */
  connect (): Socket
}

/** Has a server listen while `act` talks with it, and ends whoever is there then. Undefined where that fails or takes too long. */
export async function tryOut<T> (server: Server, host: string, act: (trial: Trial) => Promise<T>): Promise<T | undefined> {
  const sockets: Socket[] = []
  const keep = (socket: Socket) => {
    sockets.push(socket.on('error', nothing))
    return socket
  }
  // Strangers may come, too.
  server.on('connection', keep)
  try {
    const address = reachable(host)
    const port = await listen(server, { host: address, port: 0 })
    return await act({ signal: AbortSignal.timeout(TRIAL_MS), connect: () => keep(connect({ host: address, port })) })
  } catch {
    return undefined
  } finally {
    for (const socket of sockets) socket.destroy()
    await close(server)
  }
}

function nothing (): void {}
