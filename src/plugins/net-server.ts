/** Binding and closing `net.Server`s, alike for HTTP and for raw TCP. */
import type { AddressInfo, Server, Socket } from 'node:net'

const BACKLOG = 511

export interface ListenOptions {
  readonly host: string
  readonly port: number
  /** Whether others of this user may listen there, too (SO_REUSEPORT): from Node.js 22.12 on; before that it is ignored. An error where the system cannot. */
  readonly reusePort?: boolean
}

/** Resolves to the bound port; rejects with Node's error (EADDRINUSE, EACCES, …). */
export function listen (server: Server, options: ListenOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // IPv4 clients reach `::` too: ipv6Only is false.
    server.listen({ ...options, backlog: BACKLOG }, () => {
      server.removeListener('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/**
 * Calls `end` unless the socket has something to read now. To be called when its timer has fired: where the process was stopped
 * for that long, timers fire before anything is read, and a client that was not silent at all would be ended.
 */
export function endIfSilent (socket: Pick<Socket, 'bytesRead' | 'destroyed'>, end: () => void): void {
  const { bytesRead } = socket
  // After the reads of this turn of the loop.
  setImmediate(() => { if (socket.bytesRead === bytesRead && !socket.destroyed) end() })
}

/** Stops accepting at once; resolves when the last connection is gone. A server that never listened is closed already. */
export function close (server: Server): Promise<void> {
  return new Promise((resolve) => { server.close(() => resolve()) })
}
