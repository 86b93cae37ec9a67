/** One TCP client: what every TCP service needs and none should have to write. */
import type { Config } from '../config.ts'
import type { Connection } from '../connections.ts'
import type { Gate } from '../gate.ts'
import type { Member } from '../roster.ts'
import type { Peer, TcpClient, TcpReceiver, TcpService } from '../service.ts'
import { endIfSilent } from './net-server.ts'
import { TcpReader, type Reading, type Taker } from './tcp-reader.ts'
import type { TcpSocket } from './tcp-socket.ts'

/** How long a draining server waits for a silent client to answer its FIN. */
const DRAIN_SILENCE_MS = 1000

/** What goes out as one segment at least (RFC 9293, section 3.7.1). */
const MIN_SEGMENT_BYTES = 536

/** Silence after which the system asks whether the client is still there. */
const KEEP_ALIVE_MS = 30_000

/** What all sessions of the runner share. */
export interface TcpRunner extends Reading {
  readonly limits: Config['tcp']
  /** Takes one of the sweep's places to have the system ask for silent clients. */
  mayKeepAlive (): boolean
  onClosed (session: TcpSession): void
}

/**
 * A socket knows its session, so that all sockets have the same listeners: with closures and a timer of its own an idle one had 4.9 KB in
 * place of 4.0.
 */
type SessionSocket = TcpSocket & { session?: TcpSession }

export class TcpSession implements TcpClient, Taker, Member {
  rosterIndex = -1
  readonly remote: Peer
  readonly connection: Connection
  /** Where it has its place. */
  readonly gate: Gate
  readonly #socket: SessionSocket
  readonly #runner: TcpRunner
  readonly #reader: TcpReader
  #receiver: TcpReceiver = NOTHING
  isTaking = false
  isBorrowing = false
  #isEnding = false
  #isDraining = false
  #isKeptAlive = false
  /** Whether Nagle's algorithm is off. */
  #isPrompt = false
  /** When its FIN was sent while the client's had not come. */
  #finSentAt: number | undefined
  /** The bytes that had been moved when the sweep saw it move, and when that was. */
  #seenBytes = 0
  #seenAt: number

  constructor (socket: TcpSocket, remote: Peer, connection: Connection, gate: Gate, runner: TcpRunner) {
    this.remote = remote
    this.#socket = Object.assign(socket, { session: this })
    this.connection = connection
    this.gate = gate
    this.#runner = runner
    this.#reader = new TcpReader(socket, this, runner)
    this.#seenAt = performance.now()
  }

  start (service: TcpService): void {
    const socket = this.#socket
    socket.on('error', onError).on('end', onFin).on('finish', onFinSent).on('timeout', onTimeout).on('close', onClosed)
    try {
      const receiver = service.onConnection(this)
      if (receiver) this.#receiver = typeof receiver === 'function' ? { data: receiver } : receiver
    } catch (err) {
      this.#failed(err)
    }
    this.isBorrowing = this.#receiver.borrow !== undefined
    this.isTaking = !this.#isEnding && (this.isBorrowing || this.#receiver.data !== undefined)
    this.#reader.start()
  }

  write (data: Uint8Array | string): void {
    const socket = this.#socket
    // Destroyed: by its limit, a moment ago.
    if (this.#isEnding || socket.destroyed) return
    const bytes = Buffer.byteLength(data)
    if (!this.#isPrompt && (this.connection.bytesOut > 0 || bytes > MIN_SEGMENT_BYTES)) {
      // It holds back nothing before that (RFC 9293, section 3.7.4), and many a connection writes once: a system call less, where it has seven.
      this.#isPrompt = true
      socket.setNoDelay()
    }
    socket.write(data, this.#onWritten)
    this.connection.sent(bytes)
    if (this.connection.bytesOut > this.#runner.limits.maxBytes) this.connection.destroyFor('TCP_MAX_BYTES', 'sent too much')
    else if (socket.writableLength > 0) this.#watchProgress()
  }

  end (data?: Uint8Array | string): void {
    if (this.#isEnding) return
    if (data !== undefined) this.write(data)
    this.#isEnding = true
    this.isTaking = false
    this.#socket.end()
    if (this.#socket.writableLength > 0) this.#watchProgress()
  }

  /** The server shuts down: the client gets what was written to it, a FIN, and a moment to answer that. */
  drain (): void {
    this.#isDraining = true
    this.connection.because('server draining')
    if (this.#socket.writableFinished) this.#socket.setTimeout(DRAIN_SILENCE_MS)
    else this.end()
  }

  count (bytes: number): boolean {
    this.connection.received(bytes)
    if (this.connection.bytesIn > this.#runner.limits.maxBytes) {
      this.connection.destroyFor('TCP_MAX_BYTES', 'received too much')
      return false
    }
    if (this.#receiver.count && !this.#isEnding) this.#guard(() => this.#receiver.count?.(bytes))
    return true
  }

  /**
   * Ends the client if it has neither sent nor been sent anything for too long, or has not closed after the server's FIN: one look at
   * all of them costs less than a timer each.
   * @returns whether it has ended it.
   */
  sweep (now: number): boolean {
    if (this.#finSentAt !== undefined && now - this.#finSentAt >= this.#runner.limits.finMs) {
      this.connection.destroyFor('TCP_FIN_MS', 'no FIN from client')
      return true
    }
    const bytes = this.connection.bytesIn + this.connection.bytesOut
    if (bytes !== this.#seenBytes) {
      this.#seenBytes = bytes
      this.#seenAt = now
      return false
    }
    if (!this.#isKeptAlive && this.#runner.mayKeepAlive()) {
      // Here, and not at its start: four system calls, of which a short connection needs none.
      this.#isKeptAlive = true
      this.#socket.setKeepAlive(true, KEEP_ALIVE_MS)
    }
    // Not one that has a timer of its own.
    if (now - this.#seenAt >= this.#runner.limits.idleMs && !this.#socket.timeout) this.#endIdle()
    return false
  }

  /** From now on the socket's own timer, which knows how much of a write the client has taken. */
  #watchProgress (): void {
    if (!this.#socket.timeout) this.#socket.setTimeout(this.#runner.limits.idleMs)
  }

  /** May come again: the first time it may find a client that was not silent. */
  onSilence (): void {
    if (this.#isDraining && this.#socket.writableFinished) this.#socket.destroy()
    else this.#endIdle()
  }

  #endIdle (): void {
    endIfSilent(this.#socket, () => this.connection.destroyFor('TCP_IDLE_MS', 'idle'))
  }

  take (chunk: Buffer): void {
    const { borrow, data } = this.#receiver
    try {
      if (borrow) borrow(chunk)
      else data?.(chunk)
    } catch (err) {
      this.#failed(err)
    }
  }

  readonly #onWritten = (): void => this.#reader.onWritten()

  /**
   * Once the FIN is out, unread input must still be read: closing over it would send an RST, which may destroy the answer on
   * its way (RFC 9293, section 3.10.4; RFC 2525, section 2.17). Not for ever, though.
   */
  onFinSent (): void {
    const socket = this.#socket
    if (socket.destroyed || socket.readableEnded) return
    socket.resume()
    this.#finSentAt = performance.now()
    if (this.#isDraining) socket.setTimeout(DRAIN_SILENCE_MS)
  }

  onFin (): void {
    this.connection.halfClosed()
    if (this.#isEnding) return
    this.connection.because('closed by client')
    this.#guard(() => this.#receiver.end?.())
    if (!this.#receiver.end) this.end()
  }

  onClosed (): void {
    this.#reader.giveBack()
    this.#runner.onClosed(this)
    this.connection.closed('closed by service')
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

const NOTHING: TcpReceiver = {}

function onError (this: SessionSocket, error: Error): void { this.session?.connection.failed(error) }
function onFin (this: SessionSocket): void { this.session?.onFin() }
function onFinSent (this: SessionSocket): void { this.session?.onFinSent() }
function onTimeout (this: SessionSocket): void { this.session?.onSilence() }
function onClosed (this: SessionSocket): void { this.session?.onClosed() }
