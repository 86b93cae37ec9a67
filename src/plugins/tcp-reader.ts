/**
 * How a TCP client is read: into memory that is there already, no faster than it reads itself, and in its turn. In multiples of what a C
 * server pays, an echo of 64 KiB pieces cost 1.4 after and 6.0 before that, of 64 bytes 1.3 and 2.1.
 */
import { Socket } from 'node:net'
import type { Presence, Turn, Waiter } from '../turn.ts'
import type { ReadInto, Reader } from './read-into.ts'
import type { ReadMemory } from './read-memory.ts'
import type { TcpSocket } from './tcp-socket.ts'

/** A read of so much is a stream's: it has its time taken, and may have a buffer of its own. */
const STREAM_BYTES = 32_768
/** What Node.js reads at once where it has no buffer of ours. */
const PLAIN_BYTES = 65_536

/** What all readers share. */
export interface Reading {
  readonly readInto: ReadInto
  readonly memory: ReadMemory
  /** What its streams have of each; whoever is no stream is somebody else. */
  readonly turn: Turn
  readonly presence: Presence
}

export interface Taker {
  /** Whether it wants the bytes, and not only their number. */
  readonly isTaking: boolean
  /** Whether it is done with a chunk's memory when `take` returns, but for what it has written to its client. */
  readonly isBorrowing: boolean
  take (chunk: Buffer): void
  /** So many bytes have come. False where the connection has been ended for it. */
  count (bytes: number): boolean
}

export class TcpReader implements Reader, Waiter {
  readonly #socket: TcpSocket
  readonly #taker: Taker
  readonly #reading: Reading
  /** A stream's own buffer. */
  #own: Buffer | undefined
  /** Whether its last read was a stream's. */
  #isStream = false
  /** Why it is not read: it takes no more itself, or it waits for its turn. */
  #isBlocked = false
  #isWaiting = false
  #lastReadMs = 0

  constructor (socket: TcpSocket, taker: Taker, reading: Reading) {
    this.#socket = socket
    this.#taker = taker
    this.#reading = reading
  }

  start (): void {
    const socket = this.#socket
    if (this.#reading.readInto(socket, this)) socket.resume()
    else if (socket instanceof Socket) socket.on('data', (chunk) => { if (!this.#onData(chunk)) socket.pause() })
  }

  /** To be called when the socket is closed. */
  giveBack (): void {
    if (!this.#own) return
    this.#reading.memory.giveBack(this.#own)
    this.#own = undefined
  }

  nextBuffer (): Buffer {
    return this.#reading.memory.part(this.#own, !this.#reading.turn.isAlone)
  }

  onRead (bytes: number, buffer: Buffer): boolean {
    const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0
    const taker = this.#taker
    if (!taker.count(bytes)) return false
    if (taker.isTaking) {
      const chunk = buffer.subarray(0, bytes)
      taker.take(buffer.buffer === this.#own?.buffer ? chunk : Buffer.from(chunk))
    }
    const wasStream = this.#isStream
    this.#isStream = bytes >= STREAM_BYTES
    if (!this.#isStream) {
      if (!wasStream) this.#reading.presence.served++
      if (this.#socket.writableLength === 0) this.giveBack()
    } else if (taker.isBorrowing && taker.isTaking) {
      this.#own ??= this.#reading.memory.lend()
    }
    return this.#goesOn(bytes === buffer.length, startedAt)
  }

  /** As onRead, where Node.js reads into memory of its own. */
  #onData (chunk: Buffer): boolean {
    const bytes = chunk.length
    const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0
    if (!this.#taker.count(bytes)) return false
    if (this.#taker.isTaking) this.#taker.take(chunk)
    else release(chunk)
    return this.#goesOn(bytes === PLAIN_BYTES, startedAt)
  }

  /**
   * Whether the next read may come in this turn.
   * @param isFull whether there is more: it would be read at once, up to 32 times, before anybody else is served.
   */
  #goesOn (isFull: boolean, startedAt: number): boolean {
    // A client that does not read is not read: its own window fills, and our memory does not.
    this.#isBlocked = this.#socket.writableLength > 0
    if (startedAt > 0) {
      const { turn } = this.#reading
      this.#lastReadMs = performance.now() - startedAt
      turn.spend(this.#lastReadMs)
      if (isFull || turn.isOver) {
        this.#isWaiting = true
        turn.wait(this)
      }
    }
    return !this.#isBlocked && !this.#isWaiting
  }

  onTurn (): number {
    this.#isWaiting = false
    if (this.#isBlocked || this.#socket.destroyed) return 0
    this.#socket.resume()
    // It is spent once the bytes are read, later in this turn.
    return this.#lastReadMs
  }

  /** To be called when something was written. */
  onWritten (): void {
    if (!this.#isBlocked || this.#socket.writableLength > 0) return
    this.#isBlocked = false
    if (!this.#isWaiting) this.#socket.resume()
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
