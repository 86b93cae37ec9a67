/** One TCP client: what every TCP service needs and none should have to write. */
import type { Socket } from 'node:net'
import type { Config } from '../config.ts'
import type { Connection } from '../connections.ts'
import type { Peer, TcpClient, TcpReceiver, TcpService } from '../service.ts'
import type { Turn } from '../turn.ts'
import { endIfSilent } from './net-server.ts'
import type { ReadInto, Reader } from './read-into.ts'
import { BUFFER_BYTES, type ReadMemory } from './read-memory.ts'

/** How long a draining server waits for a silent client to answer its FIN. */
const DRAIN_SILENCE_MS = 1000
/** A read of so much is a stream's: it has its time taken, and may have a buffer of its own. */
const STREAM_BYTES = 32_768
/** What Node.js reads at once where it has no buffer of ours. */
const PLAIN_BYTES = 65_536

/** What all sessions of the runner share. */
export interface TcpRunner {
  readonly limits: Config['tcp']
  readonly readInto: ReadInto
  readonly memory: ReadMemory
  readonly turn: Turn
}

export class TcpSession implements TcpClient, Reader {
  readonly remote: Peer
  readonly connection: Connection
  readonly #socket: Socket
  readonly #runner: TcpRunner
  #receiver: TcpReceiver = {}
  #isEnding = false
  #finTimer: NodeJS.Timeout | undefined
  /** A stream's own buffer. */
  #own: Buffer | undefined
  /** Why it is not read: it takes no more itself, or it waits for its turn. */
  #isBlocked = false
  #isWaiting = false
  #lastReadMs = 0

  constructor (socket: Socket, remote: Peer, connection: Connection, runner: TcpRunner) {
    this.remote = remote
    this.#socket = socket
    this.connection = connection
    this.#runner = runner
  }

  start (service: TcpService): void {
    const socket = this.#socket
    socket.on('error', (error) => this.connection.failed(error))
    socket.on('close', () => {
      clearTimeout(this.#finTimer)
      this.#giveBack()
      this.connection.closed('closed by service')
    })
    socket.setTimeout(this.#runner.limits.idleMs, () => endIfSilent(socket, () => this.connection.destroyFor('TCP_IDLE_MS', 'idle')))
    this.#guard(() => {
      const receiver = service.onConnection(this)
      if (typeof receiver === 'function') this.#receiver = { data: receiver }
      else if (receiver) this.#receiver = receiver
    })
    if (this.#runner.readInto(socket, this)) socket.resume()
    else socket.on('data', (chunk) => this.#onData(chunk))
    socket.on('end', () => this.#onFin())
  }

  write (data: Uint8Array | string): void {
    // Destroyed: by its limit, a moment ago.
    if (this.#isEnding || this.#socket.destroyed) return
    this.#socket.write(data, this.#onWritten)
    this.connection.sent(Buffer.byteLength(data))
    if (this.connection.bytesOut > this.#runner.limits.maxBytes) this.connection.destroyFor('TCP_MAX_BYTES', 'sent too much')
  }

  end (data?: Uint8Array | string): void {
    if (this.#isEnding) return
    if (data !== undefined) this.write(data)
    this.#isEnding = true
    const socket = this.#socket
    socket.end()
    // Once the FIN is out, unread input must still be read: closing over it would send an RST, which may
    // destroy the answer on its way (RFC 9293, section 3.10.4; RFC 2525, section 2.17). Not for ever, though.
    socket.once('finish', () => {
      if (socket.destroyed || socket.readableEnded) return
      socket.resume()
      this.#finTimer = setTimeout(() => this.connection.destroyFor('TCP_FIN_MS', 'no FIN from client'), this.#runner.limits.finMs)
    })
  }

  /** The server shuts down: the client gets what was written to it, a FIN, and a moment to answer that. */
  drain (): void {
    const socket = this.#socket
    this.connection.because('server draining')
    this.end()
    const quieten = () => socket.setTimeout(DRAIN_SILENCE_MS, () => socket.destroy())
    if (socket.writableFinished) quieten()
    else socket.once('finish', quieten)
  }

  nextBuffer (): Buffer {
    return this.#own ?? this.#runner.memory.shared
  }

  onRead (bytes: number): boolean {
    const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0
    const own = this.#own
    const chunk = this.nextBuffer().subarray(0, bytes)
    const { borrow, data } = this.#receiver
    if (!this.#count(bytes)) return false
    if (this.#isEnding || (!borrow && !data)) this.#discard(bytes)
    else if (borrow && own) this.#hand(borrow, chunk)
    else this.#hand((borrow ?? data) as (chunk: Buffer) => void, Buffer.from(chunk))
    if (own === undefined && borrow && bytes >= STREAM_BYTES) this.#own = this.#runner.memory.lend()
    else if (bytes < STREAM_BYTES && this.#socket.writableLength === 0) this.#giveBack()
    return this.#goesOn(bytes === BUFFER_BYTES, startedAt)
  }

  /** As onRead, where Node.js reads into memory of its own. */
  #onData (chunk: Buffer): void {
    const bytes = chunk.length
    const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0
    const receive = this.#receiver.borrow ?? this.#receiver.data
    if (!this.#count(bytes)) return
    if (receive && !this.#isEnding) {
      this.#hand(receive, chunk)
    } else {
      release(chunk)
      this.#discard(bytes)
    }
    if (!this.#goesOn(bytes === PLAIN_BYTES, startedAt)) this.#socket.pause()
  }

  #count (bytes: number): boolean {
    this.connection.received(bytes)
    if (this.connection.bytesIn <= this.#runner.limits.maxBytes) return true
    this.connection.destroyFor('TCP_MAX_BYTES', 'received too much')
    return false
  }

  #hand (receive: (chunk: Buffer) => void, chunk: Buffer): void {
    try {
      receive(chunk)
    } catch (err) {
      this.#failed(err)
    }
  }

  #discard (bytes: number): void {
    if (!this.#isEnding) this.#guard(() => this.#receiver.count?.(bytes))
  }

  /**
   * Whether the next read may come in this turn.
   * @param isFull whether there is more: the next read would come at once, up to 32 times, before anybody else is served.
   */
  #goesOn (isFull: boolean, startedAt: number): boolean {
    // A client that does not read is not read: its own window fills, and our memory does not.
    this.#isBlocked = this.#socket.writableLength > 0
    if (startedAt > 0) {
      const { turn } = this.#runner
      this.#lastReadMs = performance.now() - startedAt
      turn.spend(this.#lastReadMs)
      if (isFull || turn.isOver) {
        this.#isWaiting = true
        turn.wait(this.#onTurn)
      }
    }
    return !this.#isBlocked && !this.#isWaiting
  }

  readonly #onTurn = (): number => {
    this.#isWaiting = false
    if (this.#isBlocked || this.#socket.destroyed) return 0
    this.#socket.resume()
    // It is spent once the bytes are read, later in this turn.
    return this.#lastReadMs
  }

  readonly #onWritten = (): void => {
    if (!this.#isBlocked || this.#socket.writableLength > 0) return
    this.#isBlocked = false
    if (!this.#isWaiting) this.#socket.resume()
  }

  #giveBack (): void {
    if (!this.#own) return
    this.#runner.memory.giveBack(this.#own)
    this.#own = undefined
  }

  #onFin (): void {
    this.connection.halfClosed()
    if (this.#isEnding) return
    this.connection.because('closed by client')
    this.#guard(() => this.#receiver.end?.())
    if (!this.#receiver.end) this.end()
  }

  /** A service that throws loses this one client and no other. */
  #guard (step: () => void): void {
    try {
      step()
    } catch (err) {
      this.#failed(err)
    }
  }

  #failed (err: unknown): void {
    this.connection.log.error({ err }, 'the service failed')
    this.connection.destroy('service failed')
  }
}

/**
 * Frees a chunk that nobody holds. Left to the garbage collector, 130 MB into sink cost 75–86 MiB of memory on
 * Node.js 24. Node.js 20 has no `transfer` yet, and collects in time: 31–38 MiB.
 */
function release ({ buffer, byteLength }: Buffer): void {
  // A small chunk may share its memory with others.
  if (buffer.byteLength === byteLength) (buffer as ArrayBuffer & { transfer?: (bytes: number) => ArrayBuffer }).transfer?.(0)
}
