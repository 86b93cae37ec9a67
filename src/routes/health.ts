/** Liveness and readiness, for an orchestrator's probes. */
import type { FastifyInstance } from 'fastify'

export async function health (app: FastifyInstance): Promise<void> {
  app.get('/healthz', { config: { isVital: true } }, (_request, reply) => { reply.send({ status: 'ok' }) })

  app.get('/readyz', { config: { isVital: true } }, (_request, reply) => {
    if (app.isReady()) reply.send({ status: 'ready' })
    else reply.code(503).send({ status: 'unready' })
  })
}
