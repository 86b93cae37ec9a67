/** Sending datagrams with less ado than `send` makes. The only file that knows how Node.js does it inside, and it finds out at the start whether this one does. */
import type { Socket } from 'node:dgram'
import { once } from 'node:events'
import { getSystemErrorName } from 'node:util'
import { handleOf, tryOut, type SendRequest } from './udp-handle.ts'

/** Called once for each datagram, at once or later, as `send` calls its callback. */
export type OnSent = (error: NodeJS.ErrnoException | null, bytes: number) => void

export interface Sender {
  /** Bytes that the system has not taken yet. */
  readonly unsentBytes: number
  /** @param address an IP address of the socket's family. */
  send (bytes: Uint8Array, port: number, address: string, onSent: OnSent): void
}

/** For a bound socket, as `socketFor` makes it; undefined where this Node.js has no way. */
export type SenderOf = (socket: Socket) => Sender | undefined

/** As Node.js documents it. */
export const plainSenderOf = (socket: Socket): Sender => ({
  get unsentBytes () { return socket.getSendQueueSize() },
  send: (bytes, port, address, onSent) => socket.send(bytes, port, address, onSent)
})

/**
 * `send` looks its arguments over, asks for the address, makes a request and has its callback called in a tick: a twelfth of what an echo
 * costs. The system nearly always takes a datagram at once, and then nobody needs the request or the tick.
 */
export const senderOf: SenderOf = (socket) => {
  const handle = handleOf(socket)
  const Request = handle && requestOf(socket, handle)
  return Request && new DirectSender(handle, Request)
}

type Handle = NonNullable<ReturnType<typeof handleOf>>
type RequestClass = new () => SendRequest

/** The class of the requests that `send` makes, seen as it makes one; nothing is sent. */
function requestOf (socket: Socket, handle: Handle): RequestClass | undefined {
  const inside = handle()
  if (typeof inside?.send !== 'function') return
  // Of IPv6 a property of its own.
  const own = Object.getOwnPropertyDescriptor(inside, 'send')
  let Request: RequestClass | undefined
  try {
    inside.send = (request) => {
      Request = request.constructor as RequestClass
      return 1
    }
    const { address, port } = socket.address()
    socket.send('', port, address)
  } finally {
    delete inside.send
    if (own) Object.defineProperty(inside, 'send', own)
  }
  return Request
}

class DirectSender implements Sender {
  unsentBytes = 0
  readonly #handle: Handle
  readonly #Request: RequestClass
  /** One that was not needed. */
  #spare: SendRequest | undefined
  readonly #list: Uint8Array[] = []

  constructor (handle: Handle, Request: RequestClass) {
    this.#handle = handle
    this.#Request = Request
  }

  send (bytes: Uint8Array, port: number, address: string, onSent: OnSent): void {
    const handle = this.#handle()
    // Closed: `send` throws then.
    if (!handle?.send) return
    const request = this.#spare ??= new this.#Request()
    this.#list[0] = bytes
    const sent = handle.send(request, this.#list, 1, port, address, true)
    if (sent > 0) onSent(null, sent - 1)
    else if (sent < 0) onSent(errorOf(sent, port, address), 0)
    else this.#wait(request, bytes, port, address, onSent)
  }

  /** The system will take it later. */
  #wait (request: SendRequest, bytes: Uint8Array, port: number, address: string, onSent: OnSent): void {
    this.#spare = undefined
    this.unsentBytes += bytes.length
    // It must not be collected before that.
    request.list = [bytes]
    request.oncomplete = (error, sent) => {
      this.unsentBytes -= bytes.length
      if (error < 0) onSent(errorOf(error, port, address), 0)
      else onSent(null, sent)
    }
  }
}

/** As Node.js's own. */
function errorOf (errno: number, port: number, address: string): NodeJS.ErrnoException {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`send ${code} ${address}:${port}`), { errno, code, syscall: 'send', address, port })
}

const TEST_MS = 5000

/** Whether `senderOf` does what it says within `ms`: the datagrams arrive, unchanged and in their order, and it is told how many bytes they had. */
export const works = (senderOf: SenderOf, address: string, ms = TEST_MS): Promise<boolean> => tryOut(address, ms, async ({ socket, port, told, signal }) => {
  const sender = senderOf(socket)
  if (!sender) return false
  for (const text of ['one', 'three']) {
    const heard = once(socket, 'message', { signal })
    const bytes = await new Promise((resolve, reject) => {
      signal.addEventListener('abort', reject)
      sender.send(Buffer.from(text), port, address, (error, bytes) => { if (error) reject(error); else resolve(bytes) })
    })
    await heard
    if (bytes !== text.length) return false
  }
  return told.join() === 'one,three' && sender.unsentBytes === 0
})
