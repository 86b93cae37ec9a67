/** Which of the server's clients are the visitor's own: those that come from the visitor's address. */

let address: string | undefined

/** @param own as the server sees it. */
export function iAm (own: string): void {
  address = own
}

/** @param peer `127.0.0.1:50000`, `[::1]:50000`. */
export function isYours (peer: string): boolean {
  const host = peer.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
  return address !== undefined && (host === address || (isLoopback(host) && isLoopback(address)))
}

function isLoopback (host: string): boolean {
  return host === '::1' || host.startsWith('127.')
}
