/** A TCP client's socket without the streams of a `net.Socket`, which cost a tenth to a quarter of what a short connection does. */
import { systemError, type Handle, type Inside } from './handle.ts'
import type { TcpSocket } from './tcp-socket.ts'

/** Node.js asks a stream of which it has read all whether 'end' was emitted before. */
const READABLE_STATE = { endEmitted: false }

type Listener = (this: HandleSocket) => void
type ErrorListener = (this: HandleSocket, error: Error) => void

export class HandleSocket implements TcpSocket {
  readonly _handle: Handle
  readonly _readableState = READABLE_STATE
  destroyed = false
  readableEnded = false
  writableFinished = false
  timeout: number | undefined
  readonly #inside: Inside
  #peer: { address?: string, port?: number } | undefined
  #isEnding = false
  /** Writes of which the system has not taken all. */
  #waiting = 0
  #timer: NodeJS.Timeout | undefined
  /** The bytes that waited when that was last looked at. */
  #seenWaiting = 0
  #onError: ErrorListener | undefined
  #onEnd: Listener | undefined
  #onFinish: Listener | undefined
  #onTimeout: Listener | undefined
  #onClose: Listener | undefined

  constructor (handle: Handle, inside: Inside) {
    this._handle = handle
    this.#inside = inside
    handle[inside.owner] = this
    handle.onread = inside.onRead
  }

  get remoteAddress (): string | undefined { return this.#peername.address }
  get remotePort (): number | undefined { return this.#peername.port }
  get bytesRead (): number { return this.destroyed ? 0 : this._handle.bytesRead }
  get writableLength (): number { return this.#waiting === 0 || this.destroyed ? 0 : this._handle.writeQueueSize }

  get #peername (): { address?: string, port?: number } {
    if (!this.#peer) {
      const out = {}
      this.#peer = !this.destroyed && this._handle.getpeername(out) === 0 ? out : {}
    }
    return this.#peer
  }

  /** One listener for each event. */
  on (event: 'error' | 'end' | 'finish' | 'timeout' | 'close', listener: ErrorListener): this {
    if (event === 'error') this.#onError = listener
    else if (event === 'end') this.#onEnd = listener as Listener
    else if (event === 'finish') this.#onFinish = listener as Listener
    else if (event === 'timeout') this.#onTimeout = listener as Listener
    else this.#onClose = listener as Listener
    return this
  }

  write (data: Uint8Array | string, onWritten: () => void): void {
    if (this.destroyed || this.#isEnding) return
    const request = new this.#inside.Write()
    const handle = this._handle
    this.#check('write', typeof data === 'string' ? handle.writeUtf8String(request, data) : handle.writeBuffer(request, data))
    this.#timer?.refresh()
    if (this.destroyed || handle.writeQueueSize === 0) return
    this.#waiting++
    this.#seenWaiting = handle.writeQueueSize
    // It is read from until then.
    request.data = data
    request.oncomplete = (status) => {
      this.#waiting--
      if (this.destroyed) return
      this.#seenWaiting = handle.writeQueueSize
      this.#timer?.refresh()
      this.#check('write', status)
      if (status === 0) onWritten()
    }
  }

  end (): void {
    if (this.destroyed || this.#isEnding) return
    this.#isEnding = true
    if (this.#waiting > 0) {
      const request = new this.#inside.Shutdown()
      request.oncomplete = () => this.#finish()
      this._handle.shutdown(request)
      return
    }
    // Where nothing more is to be read the socket is closed at once, and the FIN is sent by that.
    if (!this.readableEnded) this._handle.shutdown(new this.#inside.Shutdown())
    this.#finish()
  }

  #finish (): void {
    if (this.destroyed) return
    this.writableFinished = true
    this.#onFinish?.()
    if (this.readableEnded) this.destroy()
  }

  resume (): void {
    const handle = this._handle
    if (this.destroyed || this.readableEnded || handle.reading) return
    handle.reading = true
    this.#check('read', handle.readStart())
  }

  setNoDelay (): void {
    if (!this.destroyed) this._handle.setNoDelay(true)
  }

  setKeepAlive (isOn: boolean, delayMs: number): void {
    if (!this.destroyed) this._handle.setKeepAlive(isOn, Math.floor(delayMs / 1000))
  }

  setTimeout (ms: number): void {
    clearTimeout(this.#timer)
    if (this.destroyed) return
    this.timeout = ms
    this.#timer = setTimeout(() => {
      const { writeQueueSize } = this._handle
      if (writeQueueSize === this.#seenWaiting) this.#onTimeout?.()
      else this.#timer?.refresh()
      this.#seenWaiting = writeQueueSize
    }, ms).unref()
  }

  /** Also called by Node.js, where it cannot read. */
  destroy (error?: Error): void {
    if (this.destroyed) return
    this.destroyed = true
    clearTimeout(this.#timer)
    if (error) this.#onError?.(error)
    this._handle.onread = nothing
    this._handle.close(() => this.#onClose?.())
  }

  /** Called by Node.js at the client's FIN. */
  push (): void {
    if (this.destroyed) return
    this.readableEnded = true
    this.#onEnd?.()
    if (this.writableFinished) this.destroy()
  }

  /** Called by Node.js after that, for an 'end' that a stream would not emit else. */
  read (): void {}

  /** Called by Node.js at every read, by the name that it has for it. */
  onActive (): void {
    this.#timer?.refresh()
  }

  /** @param status 0, or an error's negative number. */
  #check (syscall: string, status: number): void {
    if (status < 0) this.destroy(systemError(syscall, status))
  }
}

function nothing (): void {}
