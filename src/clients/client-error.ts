/** A client's failure in one line: what was tried, what happened, what to do. */
import { formatAddress, type Target } from '../shared/address.ts'
import { printable } from '../shared/printable.ts'

export class ClientError extends Error {
  readonly code: string

  constructor (code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'ClientError'
    this.code = code
  }
}

const START = 'Is oneloop running? Start it with: npm start'

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: `connection refused. ${START}`,
  ENOTFOUND: 'there is no such host. Check its name',
  EAI_AGAIN: 'its name cannot be looked up now. Check the name and the network',
  EHOSTUNREACH: 'no route to that host. Check the address and the network',
  ENETUNREACH: 'no route to that network. Check the address and the network',
  ECONNRESET: 'the server reset the connection. Its log says why',
  EPIPE: 'the server closed the connection early. Its log says why',
  ETIMEDOUT: 'nothing answered. Check the address, or allow more with --timeout',
  EMFILE: 'this machine allows this process no more file descriptors. Allow more with ulimit -n',
  ENFILE: 'this machine has no file descriptor left',
  EADDRNOTAVAIL: 'this machine has no such address, or no free port left for it',
  EPERM: 'this machine does not permit it. Check its firewall',
  EACCES: 'this machine does not permit it. Check its firewall, or use an address that is not a broadcast address',
  EMSGSIZE: 'the message is too large for one datagram, which holds at most 65507 bytes'
}

/** Turns a socket's error into a ClientError. `tried` begins the message: `cannot connect to`. */
export function explain (error: NodeJS.ErrnoException, tried: string, target: Target): ClientError {
  if (error instanceof ClientError) return error
  const code = error.code ?? 'ERR_CLIENT'
  const cause = code.startsWith('HPE_') ? 'the server there does not speak HTTP. Check the port' : CAUSES[code] ?? error.message
  return new ClientError(code, `${tried} ${formatAddress(target.host, target.port)}: ${cause}`, { cause: error })
}

export function noAnswer (target: Target): ClientError {
  return new ClientError('ERR_NO_ANSWER', `no answer from ${formatAddress(target.host, target.port)}: it closed the connection first. It may be full, or draining: its log says why`)
}

export function timedOut (target: Target, timeoutMs: number): ClientError {
  return new ClientError('ETIMEDOUT', `no answer from ${formatAddress(target.host, target.port)} within ${timeoutMs / 1000} s. Check the address, or allow more with --timeout`)
}

/** The message in an error answer of oneloop, such as `: too many WebSockets are open (…)`; empty for any other body. */
export function messageIn (body: string): string {
  try {
    const { message } = JSON.parse(body) as { message?: unknown }
    return typeof message === 'string' ? `: ${printable(message)}` : ''
  } catch {
    return ''
  }
}
