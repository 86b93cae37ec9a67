/** `/api/services`: every service, its state and its counters, as JSON. */
import type { FastifyInstance } from 'fastify'
import type { Endpoint } from '../traffic/endpoint.ts'

export async function services (app: FastifyInstance): Promise<void> {
  app.get('/api/services', async () => app.endpoints.map(row))
}

/** `address` is the first of `addresses`; `port` is null if the service is off; only a WebSocket has a `path`. All counts but `open` are since the start. */
function row ({ name, transport, address, addresses, port, path, state, summary, open, total, bytesIn, bytesOut, refused }: Endpoint) {
  return { name, transport, address, addresses, port, path, state, summary, open, total, bytesIn, bytesOut, refused }
}
