import type { Socket } from 'node:net'
import { unmapped } from '../address.ts'
import type { Peer } from '../service.ts'

/** The remote end of a socket; undefined once the connection is gone. */
export function peerOf (socket: Pick<Socket, 'remoteAddress' | 'remotePort'>): Peer | undefined {
  const { remoteAddress, remotePort } = socket
  return remoteAddress === undefined || remotePort === undefined
    ? undefined
    : { address: unmapped(remoteAddress), port: remotePort }
}
