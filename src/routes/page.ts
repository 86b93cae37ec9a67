/** The page: what this server is, and every service with a line to try it. */
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { formatAddress, reachable } from '../address.ts'
import { pasteLine } from '../paste-line.ts'

export async function page (app: FastifyInstance): Promise<void> {
  app.get('/', async (request, reply) => {
    const rows = app.endpoints.map((endpoint) => {
      const host = hostFor(request, endpoint.address)
      return {
        ...endpoint,
        where: endpoint.port === null ? '–' : `${formatAddress(host, endpoint.port)}${endpoint.path ?? ''}`,
        paste: endpoint.state === 'open' ? pasteLine(endpoint, host) : ''
      }
    })
    return reply.view('page', { rows })
  })
}

/** The name the visitor reached this server by, where the server listens on all addresses; else the one it listens on. */
function hostFor (request: FastifyRequest, bound: string): string {
  if (reachable(bound) === bound) return bound
  const name = request.hostname.replace(/^\[(.*)\]$/, '$1')
  // The Host header is the visitor's own text, and the line goes into a shell: names and addresses only.
  return /^[a-z0-9][a-z0-9.-]{0,252}$/i.test(name) || isIP(name) ? name : reachable(bound)
}
