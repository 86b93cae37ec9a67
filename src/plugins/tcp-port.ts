/** A TCP port with several sockets that listen on it, for HTTP and for raw TCP alike. */
import { createServer, type Server, type Socket } from 'node:net'
import { close, listen } from './net-server.ts'

/**
 * libuv takes one connection a turn from each socket that listens. Of many short connections each then pays for a turn by itself; so the
 * system deals them out over several sockets (SO_REUSEPORT, socket(7)). With four a connection for each request costs 0.7 of what it
 * does with one; with eight hardly less, and everybody else waits longer beside a flood of them.
 */
export const SOCKETS_PER_PORT = 4

export interface TcpPortOptions {
  /** Gets the clients of all sockets. They are half-open when they have sent their FIN (RFC 9293, section 3.6). */
  onConnection (socket: Socket): void
  /** What goes wrong once they listen: an accept that fails. */
  onError (error: NodeJS.ErrnoException): void
  /** Called for each socket that listens. */
  onListening? (server: Server): void
  readonly noDelay?: boolean
  /** One of the sockets, where there is one already; it gets its own clients. */
  readonly first?: Server
}

export class TcpPort {
  readonly #options: TcpPortOptions
  readonly #servers: Server[] = []

  constructor (options: TcpPortOptions) {
    this.#options = options
    this.#servers.push(options.first ?? this.#another())
  }

  /** Resolves to the bound port; rejects with Node's error (EADDRINUSE, EACCES, …). Where a port cannot be shared, one socket listens. */
  async listen (host: string, port: number): Promise<number> {
    const bound = await listenSharing(this.#servers[0] as Server, host, port)
    while (this.#servers.length < SOCKETS_PER_PORT) {
      const another = this.#another()
      try {
        await listen(another, { host, port: bound, reusePort: true })
      } catch {
        break
      }
      this.#servers.push(another)
    }
    for (const server of this.#servers) {
      server.on('error', this.#options.onError)
      this.#options.onListening?.(server)
    }
    return bound
  }

  /** Stops accepting at once; resolves when the last connection is gone. */
  async close (): Promise<void> {
    await Promise.all(this.#servers.map(close))
  }

  #another (): Server {
    const { onConnection, noDelay = false } = this.#options
    return createServer({ allowHalfOpen: true, noDelay }, onConnection)
  }
}

/** Takes a port that other sockets of ours may join, if nobody has it: not even somebody who would share it. */
async function listenSharing (server: Server, host: string, port: number): Promise<number> {
  if (port !== 0) {
    const trial = createServer()
    await listen(trial, { host, port })
    await close(trial)
  }
  try {
    return await listen(server, { host, port, reusePort: true })
  } catch {
    // Whatever else is wrong shows again.
    return await listen(server, { host, port })
  }
}
