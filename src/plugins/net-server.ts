/** Binding and closing `net.Server`s, alike for HTTP and for raw TCP. */
import type { AddressInfo, Server, Socket } from 'node:net'
import { formatAddress, unmapped } from '../address.ts'

const BACKLOG = 511

/** Resolves to the bound port; rejects with Node's error (EADDRINUSE, EACCES, …). */
export function listen (server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    // IPv4 clients reach `::` too: ipv6Only is false.
    server.listen({ host, port, backlog: BACKLOG }, () => {
      server.removeListener('error', reject)
      resolve((server.address() as AddressInfo).port)
    })
  })
}

/** Turns away every connection above `max`, and tells of each by its peer: `127.0.0.1:50000`. */
export function capConnections (server: Server, max: number, onRefused: (peer: string) => void): void {
  server.maxConnections = max
  server.on('drop', (dropped) => onRefused(formatAddress(unmapped(dropped?.remoteAddress ?? ''), dropped?.remotePort ?? 0)))
}

/**
 * Calls `end` unless the socket has something to read now. To be called when its timer has fired: where the process was stopped
 * for that long, timers fire before anything is read, and a client that was not silent at all would be ended.
 */
export function endIfSilent (socket: Socket, end: () => void): void {
  const { bytesRead } = socket
  // After the reads of this turn of the loop.
  setImmediate(() => { if (socket.bytesRead === bytesRead && !socket.destroyed) end() })
}

/** Stops accepting at once; resolves when the last connection is gone. A server that never listened is closed already. */
export function close (server: Server): Promise<void> {
  return new Promise((resolve) => { server.close(() => resolve()) })
}
