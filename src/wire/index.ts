/**
 * The wire: what stands between a socket of the system and its runner, in this order:
 *
 *   listen ──► steps ──► runner
 *
 * `listen` opens the ports and applies the gate. A step takes a stream and gives a stream, or refuses the client. Without a
 * step the runner gets the `net.Socket` itself.
 */
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Peer } from '../service.ts'

/** A client on its way to a runner. */
export interface Client {
  /** What the runner talks to. */
  readonly stream: Duplex
  /** The physical connection below it. */
  readonly socket: Socket
  readonly peer: Peer
  /** Gives the client's place at the gate back; happens by itself when the socket closes. */
  readonly leave: () => void
}

/** Throws a Refusal, or whatever error the client's bytes cause. It sets its own deadline. */
export type Step = (client: Client) => Client | Promise<Client>

/** Why a step turns a client away: logged and counted under `reason`. */
export class Refusal extends Error {
  readonly reason: string

  constructor (reason: string) {
    super(reason)
    this.reason = reason
  }
}

/** The steps of every stream, first one first. */
export const steps: readonly Step[] = []

/** Takes a client through the steps; `refused` is told why one of them did not let it pass. */
export function pass (client: Client, [step, ...others]: readonly Step[], done: (client: Client) => void, refused: (error: Error) => void): void {
  if (!step) return done(client)
  new Promise<Client>((resolve) => { resolve(step(client)) })
    .then((next) => pass(next, others, done, refused))
    .catch(refused)
}
