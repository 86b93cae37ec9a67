/** The client of the UDP services. */
import { createSocket, type Socket } from 'node:dgram'
import { lookup } from 'node:dns/promises'
import type { Target } from '../shared/address.ts'
import { explain, timedOut } from './client-error.ts'

/** The largest payload that the length fields of UDP and IPv4 allow (RFC 768, RFC 791). */
export const MAX_DATAGRAM_BYTES = 65_507

/**
 * Sends one datagram. Resolves to the first answer, or to undefined once it is sent if `isAnswered` is false.
 * Rejects with a ClientError: ECONNREFUSED if ICMP reports a closed port, ETIMEDOUT if nothing comes back.
 */
export async function sendDatagram (
  target: Target, message: Uint8Array, { timeoutMs, isAnswered = true, onSocket }: { timeoutMs: number, isAnswered?: boolean, onSocket?: (socket: Socket) => void }
): Promise<Buffer | undefined> {
  // IPv4 first: a UDP client cannot tell that nobody listens on the other family.
  const { address, family } = await lookup(target.host, { order: 'ipv4first' }).catch((error) => { throw explain(error, 'cannot send to', target) })
  const socket = createSocket(family === 6 ? 'udp6' : 'udp4')
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<Buffer | undefined>((resolve, reject) => {
      const fail = (error: Error | null) => { if (error) reject(explain(error, 'cannot send to', target)) }
      socket.on('error', fail)
      socket.on('message', resolve)
      timer = setTimeout(() => reject(timedOut(target, timeoutMs)), timeoutMs)
      // The callback also receives errors, for instance for a broadcast address; the types omit this.
      const onConnect = (error?: Error | null) => {
        if (error) return fail(error)
        onSocket?.(socket)
        socket.send(message, (error) => {
          if (error) fail(error)
          else if (!isAnswered) resolve(undefined)
        })
      }
      socket.connect(target.port, address, onConnect)
    })
  } finally {
    clearTimeout(timer)
    socket.close()
  }
}
