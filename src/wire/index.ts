/**
 * The wire connects the system's sockets with the runners:
 *
 *   listen ──► steps ──► runner
 *
 * `listen` opens the ports and applies the gate. A step takes a stream and returns a stream, or refuses the client. Without
 * steps, the runner gets the `net.Socket` itself.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Peer } from '../service.ts'

/** A client on its way to a runner. */
export interface Client {
  /** The stream that the runner uses. */
  readonly stream: Duplex
  /** The TCP connection below it. */
  readonly socket: Socket
  readonly peer: Peer
  /** Gives back the client's place at the gate. Called automatically when the socket closes. */
  readonly leave: () => void
}

/** Throws a Refusal, or the error that the client's bytes cause. A step sets its own deadline. */
export type Step = (client: Client) => Client | Promise<Client>

/** A step turns a client away: logged and counted under `reason`. */
export class Refusal extends Error {
  readonly reason: string

  constructor (reason: string) {
    super(reason)
    this.reason = reason
  }
}

/** The steps of every stream, in order. */
export const steps: readonly Step[] = []

/** Takes a client through the steps; calls `refused` with the error of a step that did not let it pass. */
export function pass (client: Client, [step, ...others]: readonly Step[], done: (client: Client) => void, refused: (error: Error) => void): void {
  if (!step) return done(client)
  new Promise<Client>((resolve) => { resolve(step(client)) })
    .then((next) => pass(next, others, done, refused))
    .catch(refused)
}
