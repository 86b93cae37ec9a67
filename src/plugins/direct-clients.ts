/** The HTTP clients that Node.js's parser reads for itself: so many, and for a while after a long head none. */
import { Roster, type Member } from '../roster.ts'

/**
 * What they send at once is parsed as far as the first heads go, and the rest of it kept, whatever has been spent of the turn: 10 to 15 µs
 * each for a short head, and 64 KiB. The others pay a seventh more for a request.
 */
export const MAX_DIRECT_CLIENTS = 128
/** A head of 16 KiB, of shortest headers, takes the parser 0.3 ms, and all of them may send one at the same time. So after the first they are read in slices, for so long. */
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
