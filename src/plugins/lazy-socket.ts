/**
 * An HTTP client's socket that becomes a `net.Socket` only when something asks it for more than short requests and answers do. Without
 * the streams of one, and what each write and each end takes in them, a connection for each request costs a quarter less.
 */
import { EventEmitter } from 'node:events'
import { Socket, type Server } from 'node:net'
import { getDefaultHighWaterMark } from 'node:stream'
import type { Turn } from '../turn.ts'
import { systemError, type Handle, type Inside, type Request } from './handle.ts'
import { standIn } from './stand-in.ts'

type Listen = (event: string, listener: (...values: unknown[]) => void) => unknown
type Callback = (error?: Error | null) => void

const { setTimeout } = Socket.prototype
const { on, prependListener } = EventEmitter.prototype
const HIGH_WATER_MARK = getDefaultHighWaterMark(false)
/** Node.js asks at the client's FIN whether 'end' was emitted before. */
const READABLE_STATE = Object.freeze({ endEmitted: false })

/** The streams of a socket are there from now on. Does nothing where they are. */
export function asStream (socket: Socket): Socket {
  return socket instanceof LazySocket ? socket.become() : socket
}

/** By its prototype it is a `net.Socket`, and once it has become one that is all that it is. */
export class LazySocket {
  declare _handle: Handle | null
  declare emit: EventEmitter['emit']
  declare rawListeners: EventEmitter['rawListeners']
  readonly _readableState = READABLE_STATE
  readonly _writableState = { needDrain: false, corked: 0 }
  // As Node.js's HTTP server sets them.
  server: Server | null = null
  parser: object | null = null
  _httpMessage: object | null = null
  _paused = false
  connecting = false
  _parent = null
  timeout: number | undefined
  readonly #inside: Inside
  readonly #turn: Turn
  /** Whether its turn has yet to send what was written. */
  #isAnswering = false
  #isDestroyed = false
  /** The client's FIN has come. */
  #isAtEnd = false
  /** Ours goes out, and then it is closed. */
  #isEnding = false
  #error: Error | null = null
  #writes = 0
  /** What was written and is not sent yet, how it is to be encoded, and who waits for it. */
  #text = ''
  #isLatin1 = false
  #callback: Callback | undefined
  #bytesRead = 0
  #bytesWritten = 0
  /** Node.js's HTTP server sets these: they have its parser stop reading for itself when somebody listens to the socket's data. */
  #on: Listen | undefined
  #prependListener: Listen | undefined

  /** @param turn in which what is written is sent. */
  constructor (handle: Handle, inside: Inside, turn: Turn) {
    ;(EventEmitter as unknown as (this: LazySocket) => void).call(this)
    this.#inside = inside
    this.#turn = turn
    this._handle = handle
    handle[inside.owner] = this
    handle.onread = inside.onRead
    handle.reading = true
    const status = handle.readStart()
    if (status < 0) this.destroy(systemError('read', status))
  }

  get on (): Listen { return this.#on ? listen : on }
  set on (wrapper: Listen) { this.#on = wrapper }
  // The same by another name.
  get addListener (): Listen { return this.on }
  set addListener (wrapper: Listen) { this.on = wrapper }
  get prependListener (): Listen { return this.#prependListener ? listenFirst : prependListener }
  set prependListener (wrapper: Listen) { this.#prependListener = wrapper }

  get destroyed (): boolean { return this.#isDestroyed }
  get readable (): boolean { return !this.#isDestroyed && !this.#isAtEnd }
  get writable (): boolean { return !this.#isDestroyed && !this.#isEnding }
  get writableEnded (): boolean { return this.#isDestroyed || this.#isEnding }
  get writableLength (): number { return this.#text.length }
  get writableCorked (): number { return this._writableState.corked }
  get readableHighWaterMark (): number { return HIGH_WATER_MARK }
  get writableHighWaterMark (): number { return HIGH_WATER_MARK }
  get errored (): Error | null { return this.#error }
  get bytesRead (): number { return this._handle ? this._handle.bytesRead : this.#bytesRead }
  get bytesWritten (): number { return this._handle ? this._handle.bytesWritten : this.#bytesWritten }
  isPaused (): boolean { return false }
  /** It reads from the beginning. */
  resume (): this { return this }

  cork (): void { this._writableState.corked++ }

  uncork (): void {
    const state = this._writableState
    if (state.corked > 0 && --state.corked === 0) this.#answer()
  }

  write (data: unknown, encoding?: unknown, callback?: Callback | null): boolean {
    const isLatin1 = encoding === 'latin1'
    const isOurs = typeof data === 'string' && (isLatin1 || encoding === 'utf8' || encoding === undefined || encoding === null) &&
      (this.#text === '' || data === '' || isLatin1 === this.#isLatin1) && this.writable
    if (!isOurs) return this.become().write(data as string, encoding as BufferEncoding, callback as Callback)
    if (data !== '') {
      this.#text += data
      this.#isLatin1 = isLatin1
    }
    if (callback) this.#callback = this.#callback ? both(this.#callback, callback) : callback
    if (this._writableState.corked === 0) this.#answer()
    // Perhaps of the streams by now.
    return !this._writableState.needDrain
  }

  #answer (): void {
    if (this.#isAnswering) return
    this.#isAnswering = true
    // Until then Node.js takes the request for one that is being answered, as where the system has not taken all of an answer. By then
    // this may have streams, and be of another class.
    this.#turn.answer({ send: () => this.#send() })
  }

  #send (): void {
    this.#isAnswering = false
    if (this._writableState.corked === 0) this.#flush()
  }

  #flush (): void {
    const text = this.#text
    const callback = this.#callback
    this.#callback = undefined
    const handle = this._handle
    if (text !== '' && handle) {
      this.#text = ''
      // Of a client's first answer nothing is waiting to be acknowledged.
      if (++this.#writes === 2) handle.setNoDelay(true)
      const request = new this.#inside.Write()
      const status = this.#isLatin1 ? handle.writeLatin1String(request, text) : handle.writeUtf8String(request, text)
      if (status < 0) {
        const error = systemError('write', status)
        if (callback) process.nextTick(callback, error)
        this.destroy(error)
        return
      }
      if (handle.writeQueueSize > 0) return this.#wait(request, text, callback)
    }
    if (callback) process.nextTick(callback)
  }

  /** The system has not taken all of a write. The streams know what to do with a client that is slow: for them it is a write of their own. */
  #wait (request: Request, text: string, callback: Callback | undefined): void {
    const handle = this._handle as Handle
    const socket = this.become()
    socket._write = (_chunk, _encoding, done) => {
      Object.assign(socket, { [this.#inside.lastWriteQueueSize]: handle.writeQueueSize })
      request.oncomplete = (status) => {
        ;(socket as Socket & { _unrefTimer (): void })._unrefTimer()
        done(status < 0 && !socket.destroyed ? systemError('write', status) : null)
      }
    }
    socket.write(text, callback)
    socket._write = Socket.prototype._write
  }

  end (...args: unknown[]): unknown {
    if (args.length > 0 || !this.#isAtEnd) return (this.become().end as (...args: unknown[]) => unknown).apply(this, args)
    return this.destroySoon()
  }

  /** Our FIN goes out first: closed with something that nobody has read, the client would get an RST, and perhaps not its answer (RFC 9112, section 9.6). */
  destroySoon (): void {
    this.#flush()
    if (!(this instanceof LazySocket)) return (this as Socket).destroySoon()
    if (!this.writable) return
    this.#isEnding = true
    const finish = () => {
      if (this.destroyed) return
      this.emit('finish')
      this.destroy()
    }
    // Nothing is left to be read: closing it sends the FIN.
    if (this.#isAtEnd) {
      setImmediate(finish)
      return
    }
    const request = new this.#inside.Shutdown()
    request.oncomplete = finish
    if ((this._handle as Handle).shutdown(request) < 0) finish()
  }

  /** Also called by Node.js, where it cannot read. */
  destroy (error?: Error | null): this {
    if (this.#isDestroyed) return this
    if (this.#isAnswering && !error) {
      // What was answered is sent: Node.js destroys a connection as an idle one once its answer has ended, sent or not.
      this.#send()
      if (!(this instanceof LazySocket)) {
        (this as Socket).destroy()
        return this
      }
      if (this.#isDestroyed) return this
    }
    const handle = this._handle as Handle
    if (this.timeout) setTimeout.call(this as unknown as Socket, 0)
    this.#isDestroyed = true
    this.#bytesRead = handle.bytesRead
    this.#bytesWritten = handle.bytesWritten
    this.#text = ''
    if (this.#callback) process.nextTick(this.#callback, error ?? Object.assign(new Error('the socket was destroyed'), { code: 'ERR_STREAM_DESTROYED' }))
    this.#callback = undefined
    if (error) {
      this.#error = error
      process.nextTick(emitError, this, error)
    }
    handle.onread = nothing
    handle.close(() => this.emit('close', Boolean(error)))
    this._handle = null
    return this
  }

  /** Called by Node.js at the client's FIN, and only then: what else comes is the parser's. */
  push (): void {
    this.#isAtEnd = true
    process.nextTick(emitEnd, this)
  }

  /** Called by Node.js after that, for an 'end' that a stream would not emit else. */
  read (): void {}

  /** Makes the streams. */
  become (): Socket {
    const socket = this as unknown as Inner
    const { server, _handle, timeout } = this
    const { corked } = this._writableState
    const onData = this.rawListeners('data') as (() => void)[]
    if (timeout) setTimeout.call(socket, 0)
    Object.setPrototypeOf(this, Socket.prototype)
    ;(Socket as unknown as (this: Socket, options: object) => void).call(socket, { handle: _handle, allowHalfOpen: true, readable: !this.#isAtEnd, writable: !this.#isEnding })
    socket.server = server
    if (this.#on) Object.assign(socket, { on: this.#on, addListener: this.#on, prependListener: this.#prependListener })
    if (this.#isDestroyed) return this.#becomeDestroyed(socket)
    socket.setNoDelay(true)
    if (timeout) setTimeout.call(socket, timeout)
    // Streams take note of these.
    for (const listener of onData) {
      EventEmitter.prototype.off.call(socket, 'data', listener)
      Reflect.apply(Socket.prototype.on, socket, ['data', listener])
    }
    for (let i = 0; i < corked; i++) socket.cork()
    if (this.#text !== '' || this.#callback) socket.write(this.#text, this.#isLatin1 ? 'latin1' : 'utf8', this.#callback)
    this.#text = ''
    this.#callback = undefined
    return socket
  }

  #becomeDestroyed (socket: Inner): Socket {
    const errored = this.#error
    for (const state of [socket._readableState, socket._writableState]) Object.assign(state, { destroyed: true, closed: true, closeEmitted: true, errored, errorEmitted: errored !== null })
    Object.defineProperties(socket, { bytesRead: { value: this.#bytesRead }, bytesWritten: { value: this.#bytesWritten } })
    return socket
  }
}

/** With what Node.js's types do not tell of. */
type Inner = Socket & { server: Server | null, _readableState: object, _writableState: object }

standIn(LazySocket.prototype)

const isOfStreams = (event: string) => event === 'data' || event === 'readable'
function listen (this: LazySocket, ...[event, listener]: Parameters<Listen>): unknown {
  return isOfStreams(event) ? this.become().on(event, listener) : on.call(this as unknown as EventEmitter, event, listener)
}
function listenFirst (this: LazySocket, ...[event, listener]: Parameters<Listen>): unknown {
  return isOfStreams(event) ? this.become().prependListener(event, listener) : prependListener.call(this as unknown as EventEmitter, event, listener)
}

const both = (first: Callback, second: Callback): Callback => (error) => {
  first(error)
  second(error)
}

function emitError (socket: LazySocket, error: Error): void { socket.emit('error', error) }
function emitEnd (socket: LazySocket): void { socket.emit('end') }
function nothing (): void {}
