/** The line that somebody pastes into a terminal to try a service. */
import { formatAddress } from './address.ts'
import type { Endpoint } from './endpoint.ts'

/** @param host the name or address under which the reader reaches the server. */
export function pasteLine ({ transport, example, path, port }: Pick<Endpoint, 'transport' | 'example' | 'path' | 'port'>, host: string): string {
  const address = formatAddress(host, port ?? 0)
  const text = example.send?.replaceAll("'", "'\\''")
  switch (transport) {
    case 'http': return `curl http://${address}/healthz`
    case 'websocket': return text === undefined
      ? `npx oneloop ws ws://${address}${path}`
      : `npx oneloop ws ws://${address}${path} '${text}'`
    // Without its standard input closed, nc waits for more after the server's FIN.
    case 'tcp': return text === undefined ? `nc ${host} ${port} </dev/null` : `printf '${text}' | nc -N ${host} ${port}`
    case 'udp': return `printf '${text}' | nc -u -w 1 ${host} ${port}`
  }
}
