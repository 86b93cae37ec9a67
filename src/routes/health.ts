/** Liveness and readiness, for an orchestrator's probes. */
import type { FastifyInstance } from 'fastify'

export async function health (app: FastifyInstance): Promise<void> {
  app.get('/healthz', { config: { isVital: true } }, async () => ({ status: 'ok' }))

  app.get('/readyz', { config: { isVital: true } }, async (_request, reply) => {
    if (app.isReady()) return { status: 'ready' }
    return reply.code(503).send({ status: 'unready' })
  })
}
