/** A UDP socket, where Node.js keeps what it is inside, and how that is tried out. */
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'

/** Node.js documents none of its methods. */
export interface UdpHandle {
  recvStart?: () => void
  recvStop?: () => void
  /** Bytes sent and one more, or an error's negative number; 0 where `oncomplete` of the request will tell. */
  send?: (request: SendRequest, list: readonly Uint8Array[], count: number, port: number, address: string, hasCallback: boolean) => number
}

export interface SendRequest {
  list?: readonly Uint8Array[]
  oncomplete?: (error: number, bytes: number) => void
}

interface State { readonly handle?: UdpHandle | null }

/** Its handle, which it has none of once it is closed; undefined where this Node.js keeps it elsewhere. */
export function handleOf (socket: Socket): (() => UdpHandle | undefined) | undefined {
  const symbol = Object.getOwnPropertySymbols(socket).find(({ description }) => description === 'state symbol')
  const state = symbol && (socket as unknown as Record<symbol, State | undefined>)[symbol]
  return state && (() => state.handle ?? undefined)
}

/** A socket for the family of an address. Every destination is an address already: no look-up, and no tick spent on one. */
export function socketFor (address: string): Socket {
  const [type, family] = address.includes(':') ? ['udp6', 6] as const : ['udp4', 4] as const
  return createSocket({ type, lookup: (host, _options, done) => done(null, host, family) })
}

export interface Trial {
  readonly socket: Socket
  readonly port: number
  /** What the socket has been sent, as text. */
  readonly told: string[]
  /** Aborted when the time is over. */
  readonly signal: AbortSignal
}

/** Tries something with a socket that is bound to an address, and closes it. False where it is not done within `ms`, or fails. */
export async function tryOut (address: string, ms: number, succeeds: (trial: Trial) => Promise<boolean>): Promise<boolean> {
  const socket = socketFor(address)
  const late = new AbortController()
  const { signal } = late
  // Not AbortSignal.timeout: a socket that is stopped keeps no process alive.
  const timer = setTimeout(() => late.abort(), ms)
  const told: string[] = []
  try {
    socket.on('error', () => late.abort()).on('message', (message) => told.push(String(message)))
    const listening = once(socket, 'listening', { signal })
    socket.bind({ address, port: 0 })
    await listening
    return await succeeds({ socket, port: socket.address().port, told, signal })
  } catch {
    return false
  } finally {
    clearTimeout(timer)
    socket.close()
  }
}
