/** The HTTP clients that Node.js's parser reads for itself: so many, and for a while after a long head none. */
import { Roster, type Member } from '../roster.ts'

/**
 * Whatever has been spent of the turn, of what each of them sends the first head is parsed, a short one in 10 to 15 µs, and the rest kept,
 * up to 64 KiB. So they are not many; a request of the others costs a quarter more.
 */
export const MAX_DIRECT_CLIENTS = 128
/** A head of 16 KiB, of shortest headers, takes the parser 0.3 ms, and all of them may send one at the same time: after the first there is none of them, for so long. */
const CLOSED_MS = 10_000

export interface DirectClient extends Member {
  /** From now on the parser is handed what it parses. */
  readForParser (): void
}

export class DirectClients {
  readonly #clients = new Roster<DirectClient>()
  #closedUntil = 0

  get hasRoom (): boolean {
    return this.#clients.size < MAX_DIRECT_CLIENTS && performance.now() >= this.#closedUntil
  }

  add (client: DirectClient): void {
    this.#clients.add(client)
  }

  /** Does nothing where it is not one of them. */
  delete (client: DirectClient): void {
    this.#clients.delete(client)
  }

  /** One of them was sent a long head. */
  close (): void {
    this.#closedUntil = performance.now() + CLOSED_MS
    for (const client of this.#clients) client.readForParser()
  }
}
