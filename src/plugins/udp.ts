/** The UDP runner: opens every UDP service, guards its replies, and counts its datagrams. */
import type { RemoteInfo, Socket } from 'node:dgram'
import fastifyPlugin from 'fastify-plugin'
import type { UdpService } from '../service.ts'
import { formatAddress, network, unmapped } from '../shared/address.ts'
import { printable } from '../shared/printable.ts'
import { feedEvent } from '../traffic/connection.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { Bucket, Rates } from '../traffic/rates.ts'
import { bind } from '../wire/bind.ts'

/** Bytes of replies that each socket may queue; further replies are dropped. */
const MAX_UNSENT_BYTES = 262_144
const WELL_KNOWN_PORTS = 1024

export const udp = fastifyPlugin<{ services: readonly UdpService[] }>(async function udp (app, { services }) {
  const { config, connections, feed } = app
  const endpoints: Endpoint[] = []
  const rates = new Rates(config.udp.rate, config.maxAddresses)
  const total = new Bucket({ perSecond: config.udp.totalRate, burst: config.udp.totalRate }, performance.now())

  /** The rate that a datagram exceeds, if any: then no service sees it. This also ends a loop between two echo services. */
  function excess (source: string): string | undefined {
    const now = performance.now()
    if (!rates.take(source, now)) return 'UDP_RATE'
    if (!total.take(now)) return 'UDP_TOTAL_RATE'
  }

  /** Why a datagram must not be answered, if so: answering an answer makes a loop or a reflector (CVE-2024-2169). */
  function refusal (message: Buffer, from: RemoteInfo, address: string): string | undefined {
    if (message.length > config.udp.maxBytes) return 'UDP_MAX_BYTES'
    if (from.port < WELL_KNOWN_PORTS) return 'well-known source port'
    if (endpoints.some(({ port }) => port === from.port)) return 'own source port'
    if (isMulticastOrBroadcast(address)) return 'multicast or broadcast source'
  }

  function onMessage (service: UdpService, endpoint: Endpoint, socket: Socket, message: Buffer, from: RemoteInfo): void {
    const address = unmapped(from.address)
    const peer = formatAddress(address, from.port)
    endpoint.total++
    endpoint.bytesIn += message.length
    if (feed.isWatched) feed.publish(feedEvent('receive', endpoint, 0, peer, { bytes: message.length }))
    const isProbe = connections.isProbe(peer)
    if (isProbe) {
      endpoint.probe.total++
      endpoint.probe.bytesIn += message.length
    }
    const source = network(address)
    const tooMany = isProbe ? undefined : excess(source)
    if (tooMany) return connections.refuse(endpoint, tooMany, peer, message.length)
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
    const reason = refusal(message, from, address) ??
      (reply.length > message.length ? 'reply larger than request' : undefined) ??
      (socket.getSendQueueSize() > MAX_UNSENT_BYTES ? 'send queue full' : undefined)
    if (reason) return connections.refuse(endpoint, reason, peer, message.length)
    socket.send(reply, from.port, from.address, (error, bytes) => {
      if (error) return connections.failed(endpoint, error, 'the answer was not sent')
      endpoint.answered++
      endpoint.bytesOut += bytes
      if (isProbe) endpoint.probe.bytesOut += bytes
      if (feed.isWatched) feed.publish(feedEvent('send', endpoint, 0, peer, { bytes }))
    })
  }

  for (const service of services) {
    for (const endpoint of app.ports.endpointsOf(service)) {
      endpoints.push(endpoint)
      app.endpoints.push(endpoint)
      app.ports.add(endpoint, bind({
        onMessage: (socket, message, from) => onMessage(service, endpoint, socket, message, from),
        onError: (err) => connections.failed(endpoint, err, 'the UDP socket failed')
      }))
    }
  }
})

/** True for addresses of no single host: 224.0.0.0/4 and 255.255.255.255 (RFC 1112, RFC 919), 0.0.0.0/8, ff00::/8 (RFC 4291, section 2.7). */
export function isMulticastOrBroadcast (address: string): boolean {
  if (address.includes(':')) return /^ff/i.test(address)
  const first = Number(address.split('.', 1)[0])
  return first >= 224 || first === 0
}
