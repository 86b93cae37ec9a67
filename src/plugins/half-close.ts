/** For slow routes: a client that half-closes after its request (`nc -N`) still gets its answer. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sessionOf } from './http-session.ts'

/**
 * A preHandler hook. Node.js aborts an unanswered request when its client half-closes, so the connection is not read until the
 * answer is sent, and the FIN waits.
 */
export function holdFin (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const session = sessionOf(request.raw.socket)
  if (session) {
    session.held++
    // Node.js resumes reading after this tick.
    process.nextTick(() => { if (!reply.raw.writableEnded) session.stream.pause() })
    reply.raw.once('close', () => { if (--session.held === 0) session.stream.resume() })
  }
  done()
}
