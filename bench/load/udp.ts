/** Datagrams in flight: one that is not back after a while is lost, counted, and sent anew. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import type { Meter } from './meter.ts'
import { payloadOf } from './protocols.ts'
import type { LoadResult } from './result.ts'
import { sourceOf } from './stream.ts'

const LOST_AFTER_MS = 250
const LOOK_MS = 50
/** The slot and the number of its datagram, 4 bytes each, before the payload. */
const HEADER = 8

interface Slot {
  readonly text: Buffer
  number: number
  sentAt: number
}

class DatagramClient {
  readonly socket: Socket = createSocket('udp4')
  readonly #meter: Meter
  readonly #slots: Slot[]
  readonly #payload: Buffer

  constructor (meter: Meter) {
    const { size, depth } = meter.options
    this.#meter = meter
    this.#payload = payloadOf(size).subarray(HEADER)
    this.#slots = Array.from({ length: depth }, (_, i) => {
      const text = payloadOf(size)
      text.writeUInt32LE(i)
      return { text, number: 0, sentAt: 0 }
    })
    this.socket.on('message', (message) => this.#onMessage(message))
    this.socket.on('error', (error) => meter.fail('connect', error.message))
  }

  async open (index: number): Promise<void> {
    const { host, port, sources } = this.#meter.options
    const { localAddress } = sourceOf(index, sources)
    if (localAddress) await once(this.socket.bind(0, localAddress), 'listening')
    this.socket.connect(port, host)
    await once(this.socket, 'connect')
    for (const slot of this.#slots) this.#send(slot)
  }

  resendLost (): void {
    const before = performance.now() - LOST_AFTER_MS
    for (const slot of this.#slots) {
      if (slot.sentAt > before) continue
      this.#meter.lost++
      this.#send(slot)
    }
  }

  #send (slot: Slot): void {
    slot.number++
    slot.text.writeUInt32LE(slot.number, 4)
    slot.sentAt = performance.now()
    this.socket.send(slot.text, (error) => { if (error) this.#meter.fail('connect', error.message) })
  }

  #onMessage (message: Buffer): void {
    const slot = message.length >= HEADER ? this.#slots[message.readUInt32LE()] : undefined
    if (!slot || message.length !== slot.text.length || !message.subarray(HEADER).equals(this.#payload)) {
      this.#meter.fail('wrong', 'a datagram came back changed')
      return
    }
    if (message.readUInt32LE(4) !== slot.number) {
      this.#meter.late++
      return
    }
    this.#meter.count(message.length, (performance.now() - slot.sentAt) * 1000)
    if (!this.#meter.isDraining) this.#send(slot)
  }
}

export async function runUdp (meter: Meter): Promise<LoadResult> {
  const clients = Array.from({ length: meter.options.connections }, () => new DatagramClient(meter))
  await Promise.all(clients.map((client, i) => client.open(i)))
  const timer = setInterval(() => { for (const client of clients) client.resendLost() }, LOOK_MS)
  await meter.measure()
  clearInterval(timer)
  meter.isDraining = true
  await delay(30)
  for (const { socket } of clients) socket.close()
  return meter.result()
}
