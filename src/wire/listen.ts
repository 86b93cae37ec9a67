/** Listens for streams: one `net.Server` for each address. Applies the gate, and takes each client through the wire's steps to its runner. */
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { formatAddress, network, unmapped } from '../shared/address.ts'
import type { Peer } from '../service.ts'
import type { Connections } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import type { Gate } from '../traffic/gate.ts'
import { pass, Refusal, type Client, type Step } from './index.ts'
import type { Open } from './ports.ts'

const BACKLOG = 511

export interface Door {
  readonly endpoint: Endpoint
  readonly gate: Gate
  /** Prefix of the gate's limits: `TCP` for `TCP_MAX_CONNECTIONS`. */
  readonly limits: string
  readonly connections: Connections
  readonly steps: readonly Step[]
  readonly onClient: (client: Client) => void
}

export function listen ({ endpoint, gate, limits, connections, steps, onClient }: Door): Open {
  function refuse (socket: Socket, peer: Peer, reason: string): void {
    socket.destroy()
    connections.refuse(endpoint, reason, formatAddress(peer.address, peer.port))
  }

  function enter (client: Client): void {
    const { socket } = client
    if (steps.length === 0) return onClient(client)
    const ignore = () => {}
    socket.on('error', ignore)
    pass(client, steps, (passed) => {
      if (socket.destroyed) {
        passed.stream.destroy()
        return
      }
      onClient(passed)
      if (passed.stream === socket) socket.off('error', ignore)
    }, (error) => refuse(socket, client.peer, error instanceof Refusal ? error.reason : (error as NodeJS.ErrnoException).code ?? error.message))
  }

  function onConnection (socket: Socket): void {
    const { remoteAddress, remotePort } = socket
    // The client has already reset the connection.
    if (remoteAddress === undefined || remotePort === undefined) {
      socket.destroy()
      return
    }
    const peer = { address: unmapped(remoteAddress), port: remotePort }
    const from = network(peer.address)
    const limit = gate.enter(from)
    if (limit) return refuse(socket, peer, `${limits}_${limit}`)
    let isIn = true
    const leave = () => {
      if (isIn) gate.leave(from)
      isIn = false
    }
    socket.on('close', leave)
    enter({ stream: socket, socket, peer, leave })
  }

  return async (host, port) => {
    // Half-open: a client that has sent its FIN still gets its answer (RFC 9293, section 3.6).
    const server = createServer({ allowHalfOpen: true, noDelay: true }, onConnection)
    const bound = await new Promise<number>((resolve, reject) => {
      server.once('error', reject)
      // Lets IPv4 clients reach `::` whatever net.ipv6.bindv6only says: libuv sets IPV6_V6ONLY from ipv6Only.
      server.listen({ host, port, backlog: BACKLOG, ipv6Only: false }, () => {
        server.off('error', reject)
        resolve((server.address() as AddressInfo).port)
      })
    })
    server.on('error', (err) => connections.failed(endpoint, err, 'accept failed'))
    return {
      port: bound,
      // Does not wait for the server's 'close' event, which comes only after its last client.
      async close () { server.close() }
    }
  }
}
