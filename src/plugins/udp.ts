/** The UDP runner: binds every UDP service, guards its replies, and counts its datagrams. */
import type { RemoteInfo, Socket } from 'node:dgram'
import fastifyPlugin from 'fastify-plugin'
import { formatAddress, network, reachable, unmapped } from '../address.ts'
import { event } from '../connections.ts'
import type { Endpoint } from '../endpoint.ts'
import { printable } from '../printable.ts'
import { Bucket, Rates } from '../rates.ts'
import type { UdpService } from '../service.ts'
import { ALONE_MS, SHARE_MS, Turn } from '../turn.ts'
import { endpointsOf } from './endpoints-of.ts'
import { socketFor } from './udp-handle.ts'
import { pauseOf, works, type Pause } from './udp-pause.ts'
import { plainSenderOf, senderOf, works as sends, type OnSent, type Sender } from './udp-sender.ts'

/** Replies that the kernel has not taken yet, in bytes; more are dropped. */
const MAX_UNSENT_BYTES = 262_144
const WELL_KNOWN_PORTS = 1024

/** A service on one of its ports. */
interface Served {
  readonly service: UdpService
  readonly endpoint: Endpoint
  sender: Sender
  /** The same for all of its answers. */
  readonly onSent: OnSent
}

export const udp = fastifyPlugin<{ services: readonly UdpService[] }>(async function udp (app, { services }) {
  const { config, connections, feed } = app
  const sockets = new Map<Endpoint, Socket>()
  const rates = new Rates(config.udp.rate, config.maxAddresses)
  const turn = new Turn(SHARE_MS, { aloneMs: ALONE_MS, presence: app.presence })
  const isAble = await works(pauseOf, reachable(config.host))
  if (!isAble) app.log.warn('this Node.js has no way to stop a UDP socket: a flood of datagrams delays all others')
  const isDirect = await sends(senderOf, reachable(config.host))
  if (!isDirect) app.log.warn('this Node.js has no way to send datagrams directly: each costs more')
  const total = new Bucket({ perSecond: config.udp.totalRate, burst: config.udp.totalRate }, performance.now())

  /** Which rate a datagram crosses: then no service sees it. Two echo services that answer each other end at theirs. */
  function excess (source: string, peer: string, now: number): string | undefined {
    if (app.loop.probePeers.has(peer)) return
    if (!rates.take(source, now)) return 'UDP_RATE'
    if (!total.take(now)) return 'UDP_TOTAL_RATE'
  }

  /** Why a datagram must not be answered; undefined where it may be. An answered answer makes a loop or a reflector (CVE-2024-2169). */
  function refusal (message: Buffer, from: RemoteInfo, address: string): string | undefined {
    if (message.length > config.udp.maxBytes) return 'UDP_MAX_BYTES'
    if (from.port < WELL_KNOWN_PORTS) return 'well-known source port'
    for (const endpoint of sockets.keys()) if (endpoint.port === from.port) return 'own source port'
    if (isMulticastOrBroadcast(address)) return 'multicast or broadcast source'
  }

  function onMessage (served: Served, message: Buffer, from: RemoteInfo, now: number): void {
    const { service, endpoint } = served
    const address = unmapped(from.address)
    const peer = formatAddress(address, from.port)
    endpoint.total++
    endpoint.bytesIn += message.length
    if (feed.isWatched) feed.publish(event('receive', endpoint, 0, peer, message.length))
    const source = network(address)
    const tooMany = excess(source, peer, now)
    if (tooMany) return connections.refuse(endpoint, tooMany, peer)
    const log = (text: string) => {
      if (connections.log.admits(source)) connections.log.line(app.log, { service: service.name, peer, bytes: message.length }, printable(text))
    }
    let answer: Uint8Array | string | void
    try {
      answer = service.onMessage(message, { address, port: from.port }, log)
    } catch (err) {
      return connections.failed(endpoint, err as Error, 'the service failed')
    }
    if (answer === undefined) return
    const reply = typeof answer === 'string' ? Buffer.from(answer) : answer
    const reason = refusal(message, from, address) ?? (reply.length > message.length ? 'reply larger than request' : undefined)
    if (reason) connections.refuse(endpoint, reason, peer)
    else turn.answer({ send: () => send(served, reply, from, peer) })
  }

  function send ({ endpoint, sender, onSent }: Served, reply: Uint8Array, from: RemoteInfo, peer: string): void {
    if (sender.unsentBytes > MAX_UNSENT_BYTES) return connections.refuse(endpoint, 'send queue full', peer)
    sender.send(reply, from.port, from.address, feed.isWatched
      ? (error, bytes) => {
          onSent(error, bytes)
          if (!error) feed.publish(event('send', endpoint, 0, peer, bytes))
        }
      : onSent)
  }

  function serve (service: UdpService, endpoint: Endpoint): void {
    const socket = socketFor(config.host)
    let pause: Pause | undefined
    let stoppedAt = 0
    const start = () => { pause?.start() }
    const waiter = {
      onTurn () {
        // The system tells of this port first in each turn. Who was answered behind its datagrams asks again while the next ones are read,
        // and was served every second turn: 0.7 ms, with a turn in between 0.35. Not where others take their time: they would have two.
        if (performance.now() - stoppedAt > SHARE_MS) start()
        else setImmediate(start)
      }
    }
    const served: Served = {
      service,
      endpoint,
      sender: plainSenderOf(socket),
      onSent (error, bytes) {
        if (error) return connections.failed(endpoint, error, 'the answer was not sent')
        endpoint.answered++
        endpoint.bytesOut += bytes
      }
    }
    socket.on('message', (message, from) => {
      const now = performance.now()
      turn.begin(now)
      onMessage(served, message, from, now)
      if (!pause || !turn.isOver) return
      pause.stop()
      stoppedAt = performance.now()
      turn.wait(waiter)
    })
    sockets.set(endpoint, socket)
    app.addHook('onReady', () => endpoint.bind(async (port) => {
      const bound = await bind(socket, config.host, port)
      if (isAble) pause = pauseOf(socket)
      if (isDirect) served.sender = senderOf(socket) ?? served.sender
      socket.on('error', (err) => connections.failed(endpoint, err, 'the UDP socket failed'))
      return bound
    }))
  }

  for (const service of services) {
    for (const endpoint of endpointsOf(service, config)) {
      app.endpoints.push(endpoint)
      if (endpoint.state !== 'off') serve(service, endpoint)
    }
  }

  app.addHook('preClose', async () => {
    turn.sendHeld()
    await Promise.all([...sockets.values()].map((socket) => new Promise<void>((resolve) => { socket.close(() => resolve()) })))
  })
})

/** Resolves to the bound port. `::` takes IPv4 datagrams too. */
function bind (socket: Socket, address: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.bind({ address, port }, () => {
      socket.removeListener('error', reject)
      resolve(socket.address().port)
    })
  })
}

/** Of multicast, broadcast or no host at all: 224.0.0.0/4 and 255.255.255.255 (RFC 1112, RFC 919), 0.0.0.0/8, ff00::/8 (RFC 4291, section 2.7). */
export function isMulticastOrBroadcast (address: string): boolean {
  // Most begin with a digit that none of these has, and reading the number would be the dearest part of an answer's guard.
  if (!'02fF'.includes(address[0] ?? '')) return false
  if (address.includes(':')) return /^ff/i.test(address)
  const first = Number(address.slice(0, address.indexOf('.')))
  return first >= 224 || first === 0
}
