/** The probe's connection of each protocol: it is opened once, and then carries one ping after the other. */
import { createSocket } from 'node:dgram'
import { Agent, get } from 'node:http'
import { connect as connectSocket, isIPv6, type Socket } from 'node:net'
import { formatAddress, unmapped } from '../shared/address.ts'
import { connect as connectWebSocket } from '../clients/websocket.ts'
import type { Transport } from '../shared/transport.ts'

export interface LaneTarget {
  readonly transport: Transport
  readonly host: string
  readonly port: number
  readonly path: string
}

export interface Lane {
  /** Sends one ping; `onAnswer` follows, or `onLost`. */
  send (): void
  close (): void
}

export interface LaneEvents {
  onAnswer (): void
  onLost (): void
  /** The lane's own address as the server sees it, `127.0.0.1:50000`: when it comes to be, and when it is gone. */
  onPeer (peer: string, isOpen: boolean): void
  /** Told before a connection is made, and once its address was told of or there will be none. */
  onConnecting (isConnecting: boolean): void
}

type Open = (target: LaneTarget, events: LaneEvents) => Promise<Lane>

const PING = Buffer.from('ping')
const CONNECT_MS = 5000

const http: Open = async ({ host, port, path }, events) => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  // When it likes: a connection that was closed is made again for the next request.
  const createConnection = agent.createConnection.bind(agent)
  agent.createConnection = (...options) => {
    events.onConnecting(true)
    const socket = createConnection(...options) as Socket
    socket.once('connect', () => tellPeer(socket, events))
    until(socket, ['connect', 'close'], () => events.onConnecting(false))
    return socket
  }
  return {
    send () {
      const request = get({ host, port, path, agent }, (response) => response.resume().once('end', events.onAnswer))
      request.on('error', events.onLost)
    },
    close: () => agent.destroy()
  }
}

const websocket: Open = async (target, events) => {
  const socket = await connectWebSocket(target, {
    timeoutMs: CONNECT_MS,
    onMessage: events.onAnswer,
    onSocket: (raw) => tellPeer(raw, events)
  })
  socket.once('close', events.onLost)
  return { send: () => socket.send(PING), close: () => socket.close(1000) }
}

const tcp: Open = ({ host, port }, events) => new Promise((resolve, reject) => {
  const socket = connectSocket({ host, port, noDelay: true })
  let bytes = 0
  socket.on('error', reject)
  socket.once('close', events.onLost)
  socket.on('data', (chunk) => {
    bytes += chunk.length
    if (bytes % PING.length === 0) events.onAnswer()
  })
  socket.once('connect', () => {
    tellPeer(socket, events)
    resolve({ send: () => socket.write(PING), close: () => socket.end() })
  })
})

const udp: Open = ({ host, port }, events) => new Promise((resolve, reject) => {
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.on('error', (error) => { reject(error); events.onLost() })
  socket.on('message', events.onAnswer)
  socket.connect(port, host, () => {
    const { address, port } = socket.address()
    const peer = formatAddress(address, port)
    events.onPeer(peer, true)
    socket.once('close', () => events.onPeer(peer, false))
    resolve({ send: () => socket.send(PING), close: () => socket.close() })
  })
})

function tellPeer (socket: Socket, { onPeer }: LaneEvents): void {
  const { localAddress, localPort } = socket
  if (localAddress === undefined || localPort === undefined) return
  const peer = formatAddress(unmapped(localAddress), localPort)
  onPeer(peer, true)
  socket.once('close', () => onPeer(peer, false))
}

const lanes: Readonly<Record<Transport, Open>> = { http, websocket, tcp, udp }

function until (socket: Socket, names: readonly string[], then: () => void): void {
  const once = () => {
    for (const name of names) socket.off(name, once)
    then()
  }
  for (const name of names) socket.once(name, once)
}

/** Rejects where the service cannot be reached. */
export async function openLane (target: LaneTarget, events: LaneEvents): Promise<Lane> {
  events.onConnecting(true)
  try {
    return await lanes[target.transport](target, events)
  } finally {
    events.onConnecting(false)
  }
}
