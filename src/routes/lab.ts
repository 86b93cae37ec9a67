/** The lab: visitors may run the three lessons, and a client against one of the server's own services. */
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { reachable } from '../shared/address.ts'
import { play } from '../clients/transcript.ts'
import { MAX_LESSON_MS } from '../lab/lessons.ts'
import { holdFin } from '../plugins/half-close.ts'
import type { FeedEvent, LessonResult, RunResult } from '../shared/messages.ts'
import { isAllowedOrigin, OriginError } from '../traffic/origin.ts'

const DEFAULT_LESSON_MS = 500
const MAX_RUNS = 4
const RUN_MS = 3000
/** The server sees a client's end a moment after the client does. */
const AFTER_MS = 50
/** Most events kept during a run, from all clients. */
const MAX_EVENTS = 5000

const lesson = {
  type: 'object',
  additionalProperties: false,
  properties: { ms: { type: 'integer', minimum: 1, maximum: MAX_LESSON_MS, default: DEFAULT_LESSON_MS, description: 'Milliseconds' } }
}

const run = {
  type: 'object',
  additionalProperties: false,
  required: ['service'],
  properties: {
    service: { type: 'string', maxLength: 64 },
    port: { type: 'integer', description: 'The port, if the service has several' }
  }
}

export async function lab (app: FastifyInstance): Promise<void> {
  let running = 0

  async function sameOrigin ({ headers }: FastifyRequest): Promise<void> {
    if (!isAllowedOrigin(headers, app.config.origins)) throw new OriginError(headers.origin)
  }

  for (const kind of ['block', 'wait', 'worker'] as const) {
    app.post<{ Querystring: { ms: number } }>(`/api/lab/${kind}`, {
      schema: { querystring: lesson }, onRequest: sameOrigin, preHandler: holdFin
    }, async (request): Promise<LessonResult> => await app.loop.teach(kind, request.query.ms))
  }

  app.post<{ Querystring: { service: string, port?: number } }>('/api/lab/run', {
    schema: { querystring: run }, onRequest: sameOrigin, preHandler: holdFin
  }, async (request): Promise<RunResult> => {
    const { service, port } = request.query
    const endpoint = app.endpoints.find((one) => one.name === service && one.state === 'open' && (port === undefined || one.port === port))
    if (!endpoint) throw new LabError(404, 'ERR_NO_SERVICE', `no service ${JSON.stringify(service)} is open${port === undefined ? '' : ` on port ${port}`}`)
    if (running === MAX_RUNS) throw new LabError(429, 'ERR_LAB_BUSY', `${MAX_RUNS} clients are running: try again in a moment`, RUN_MS)
    running++
    const events: FeedEvent[] = []
    const unsubscribe = app.feed.subscribe((event) => { if (events.length < MAX_EVENTS) events.push(event) })
    try {
      const transcript = await play(endpoint, { host: reachable(endpoint.address), port: endpoint.port ?? 0 }, RUN_MS)
      await delay(AFTER_MS)
      return { ...transcript, events: events.filter(({ peer }) => transcript.peers.includes(peer)) }
    } finally {
      unsubscribe()
      running--
    }
  })
}

class LabError extends Error {
  readonly statusCode: number
  readonly code: string
  readonly retryMs: number | undefined

  constructor (statusCode: number, code: string, message: string, retryMs?: number) {
    super(message)
    this.retryMs = retryMs
    this.statusCode = statusCode
    this.code = code
  }
}
