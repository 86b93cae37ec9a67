/** Lanes: the probe's connections, one for each protocol. A lane is opened once; its pings do not wait for earlier answers. */
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
  /** Sends one ping; `answered` is called with its answer. */
  send (answered: () => void): void
  close (): void
}

export interface LaneEvents {
  /** The lane is gone, together with its pings in flight. */
  onLost (): void
  /** Called with the lane's own address (`127.0.0.1:50000`) when a connection opens, and when it closes. */
  onPeer (peer: string, isOpen: boolean): void
  /** Called with true before a connection is made, and with false after `onPeer` or a failure. */
  onConnecting (isConnecting: boolean): void
}

type Open = (target: LaneTarget, events: LaneEvents) => Promise<Lane>

/** Size of a ping on TCP, WebSocket and UDP: a 32-bit number. */
const PING_BYTES = 4
const CONNECT_MS = 5000

/** As many connections as a browser opens to one host. */
const HTTP_CONNECTIONS = 6

/** A request in flight has a connection of its own. While the loop is blocked, the pings beyond HTTP_CONNECTIONS queue for one. */
const http: Open = async ({ host, port, path }, events) => {
  const agent = new Agent({ keepAlive: true, maxSockets: HTTP_CONNECTIONS, maxFreeSockets: 1 })
  const createConnection = agent.createConnection.bind(agent)
  agent.createConnection = (...options) => {
    events.onConnecting(true)
    const socket = createConnection(...options) as Socket
    socket.once('connect', () => tellPeer(socket, events))
    until(socket, ['connect', 'close'], () => events.onConnecting(false))
    return socket
  }
  return {
    send (answered) {
      get({ host, port, path, agent }, (response) => response.resume().once('end', answered)).on('error', events.onLost)
    },
    close: () => agent.destroy()
  }
}

const websocket: Open = async (target, events) => {
  const pings = new Pings()
  const socket = await connectWebSocket(target, {
    timeoutMs: CONNECT_MS,
    onMessage: ({ data }) => pings.answered(data),
    onConnect: (raw) => tellPeer(raw, events)
  })
  socket.once('close', events.onLost)
  return { send: (answered) => socket.send(pings.add(answered)), close: () => socket.close(1000) }
}

const tcp: Open = ({ host, port }, events) => new Promise((resolve, reject) => {
  const pings = new Pings()
  const socket = connectSocket({ host, port, noDelay: true })
  let rest = Buffer.alloc(0)
  socket.on('error', reject)
  socket.once('close', events.onLost)
  socket.on('data', (chunk) => {
    rest = Buffer.concat([rest, chunk])
    for (; rest.length >= PING_BYTES; rest = rest.subarray(PING_BYTES)) pings.answered(rest)
  })
  socket.once('connect', () => {
    tellPeer(socket, events)
    resolve({ send: (answered) => socket.write(pings.add(answered)), close: () => socket.end() })
  })
})

const udp: Open = ({ host, port }, events) => new Promise((resolve, reject) => {
  const pings = new Pings()
  const socket = createSocket(isIPv6(host) ? 'udp6' : 'udp4')
  socket.on('error', (error) => { reject(error); events.onLost() })
  socket.on('message', (message) => pings.answered(message))
  socket.connect(port, host, () => {
    const { address, port } = socket.address()
    const peer = formatAddress(address, port)
    events.onPeer(peer, true)
    socket.once('close', () => events.onPeer(peer, false))
    resolve({ send: (answered) => socket.send(pings.add(answered)), close: () => socket.close() })
  })
})

/** Unanswered pings by number: a datagram may be lost. */
class Pings {
  readonly #waiting = new Map<number, () => void>()
  #last = 0

  add (answered: () => void): Buffer {
    const ping = Buffer.alloc(PING_BYTES)
    ping.writeUInt32BE(++this.#last)
    this.#waiting.set(this.#last, answered)
    return ping
  }

  answered (echo: Buffer): void {
    if (echo.length < PING_BYTES) return
    const number = echo.readUInt32BE()
    this.#waiting.get(number)?.()
    this.#waiting.delete(number)
  }
}

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

/** Rejects if the service cannot be reached. */
export async function openLane (target: LaneTarget, events: LaneEvents): Promise<Lane> {
  events.onConnecting(true)
  try {
    return await lanes[target.transport](target, events)
  } finally {
    events.onConnecting(false)
  }
}
