/** Connections that keep a number of requests in flight: TCP, WebSocket and HTTP. */
import { connect, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { ReplyError, type Meter } from './meter.ts'
import { protocolFor, type Protocol, type Reader } from './protocols.ts'
import type { LoadResult } from './result.ts'

const DRAIN_MS = 400
/** One for all: each chunk is done with before the next is read. */
const readBuffer = Buffer.alloc(524_288)

export const sourceOf = (index: number, sources: number): { localAddress?: string } =>
  sources > 1 ? { localAddress: `127.0.0.${1 + index % sources}` } : {}

export class StreamClient {
  readonly socket: Socket
  /** Resolves when it is open, or has failed. */
  readonly settled: Promise<void>
  isOpen = false
  readonly #meter: Meter
  readonly #protocol: Protocol
  readonly #reader: Reader
  readonly #isIdle: boolean
  readonly #sentAt: Float64Array
  #begun = 0
  #answered = 0
  #head = ''
  #settle = () => {}

  constructor (meter: Meter, protocol: Protocol, index: number, isIdle = false) {
    this.#meter = meter
    this.#protocol = protocol
    this.#reader = protocol.reader()
    this.#isIdle = isIdle
    this.#sentAt = new Float64Array(meter.options.depth)
    this.settled = new Promise((resolve) => { this.#settle = resolve })
    const { host, port, sources } = meter.options
    const onread = { buffer: readBuffer, callback: (size: number) => this.#onData(readBuffer.subarray(0, size)) }
    this.socket = connect({ host, port, noDelay: true, onread, ...sourceOf(index, sources) })
    this.socket.on('connect', () => {
      if (protocol.opening) this.socket.write(protocol.opening.request)
      else this.#open()
    })
    this.socket.on('error', (error) => this.#fail(this.isOpen ? 'closed' : 'connect', error.message))
    this.socket.on('end', () => this.#fail(this.isOpen ? 'closed' : 'connect', 'the server closed'))
  }

  get inFlight (): number { return this.#begun - this.#answered }

  send (count: number): void {
    const now = performance.now()
    const { requests, requestSize } = this.#protocol
    const most = Math.floor(requests.length / requestSize)
    for (let left = count; left > 0; left -= most) this.socket.write(requests.subarray(0, Math.min(left, most) * requestSize))
    for (let i = 0; i < count; i++) this.#sentAt[this.#begun++ % this.#sentAt.length] = now
  }

  /** Closes it with an RST, which leaves nothing behind on either side. */
  close (): void {
    this.isOpen = false
    this.socket.removeAllListeners('error').on('error', () => {}).resetAndDestroy()
  }

  giveUp (): void {
    if (!this.isOpen && !this.socket.destroyed) this.#fail('connect', 'not open in time')
  }

  #open (): void {
    this.isOpen = true
    this.#settle()
    if (!this.#isIdle) this.send(this.#meter.options.depth)
  }

  #fail (kind: ReplyError['kind'], message: string): void {
    if (this.socket.destroyed && !this.isOpen && kind !== 'connect') return
    this.#meter.fail(kind, message)
    this.close()
    this.#settle()
  }

  #onData (chunk: Buffer): boolean {
    if (!this.isOpen) chunk = this.#readOpening(chunk)
    if (!this.isOpen || chunk.length === 0) return true
    try {
      const replies = this.#reader.read(chunk)
      if (replies === 0) return true
      if (replies > this.inFlight) throw new ReplyError('wrong', 'more replies than requests')
      const now = performance.now()
      for (let i = 0; i < replies; i++) {
        this.#meter.count(this.#meter.options.size, (now - (this.#sentAt[this.#answered++ % this.#sentAt.length] ?? now)) * 1000)
      }
      if (!this.#meter.isDraining) this.send(replies)
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error
      this.#fail(error.kind, error.message)
    }
    return true
  }

  /** What comes after the answer to the opening. */
  #readOpening (chunk: Buffer): Buffer {
    this.#head += chunk.toString('latin1')
    const end = this.#head.indexOf('\r\n\r\n')
    if (end < 0) return chunk.subarray(chunk.length)
    if (this.#protocol.opening?.isAnswered(this.#head) !== true) {
      this.#fail('protocol', 'the handshake was not answered with 101')
      return chunk
    }
    const rest = Buffer.from(this.#head.slice(end + 4), 'latin1')
    this.#open()
    return rest
  }
}

export async function runStream (meter: Meter): Promise<LoadResult> {
  const { connections, opening } = meter.options
  const protocol = protocolFor(meter.options)
  const clients = Array.from({ length: connections }, (_, i) => new StreamClient(meter, protocol, i))
  await Promise.race([Promise.all(clients.map(({ settled }) => settled)), delay(opening * 1000, undefined, { ref: false })])
  for (const client of clients) client.giveUp()
  await meter.measure()
  // What is in flight comes home, so that the server has no dead sockets to write to.
  meter.isDraining = true
  for (const until = performance.now() + DRAIN_MS; performance.now() < until && clients.some((client) => client.isOpen && client.inFlight > 0);) await delay(5)
  for (const client of clients) client.close()
  return meter.result()
}
