/** For routes that take their time: a client that sends its FIN behind its request (`nc -N`) gets its answer, too. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sessionOf } from './http-session.ts'

/**
 * A hook for preHandler. Node.js ends a request whose client half-closes before it is answered; so the connection is not read
 * until then, and the FIN waits.
 */
export function holdFin (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const session = sessionOf(request.raw.socket)
  if (session) {
    session.held++
    // Node.js goes on reading after the tick that handled the request's last bytes.
    process.nextTick(() => { if (!reply.raw.writableEnded) session.stream.pause() })
    reply.raw.once('close', () => { if (--session.held === 0) session.stream.resume() })
  }
  done()
}
