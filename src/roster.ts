/** A set whose members come and go all the time. */

export interface Member {
  /** Where it stands; the roster's alone. */
  rosterIndex: number
}

/**
 * A Set that leaves nothing behind. As members of a Set come and go, V8 replaces its table, and each table that was
 * replaced keeps what was in it, and the table after it, until the whole heap is marked: so did a part of all closed connections. With this,
 * and with V8's flag for it in server.ts, V8's threads take 2.4 µs for a connection to `time`, and took 8.
 */
export class Roster<T extends Member> {
  readonly #members: T[] = []

  get size (): number {
    return this.#members.length
  }

  add (member: T): void {
    if (this.has(member)) return
    member.rosterIndex = this.#members.push(member) - 1
  }

  has (member: T): boolean {
    return this.#members[member.rosterIndex] === member
  }

  /** Does nothing where it is not a member. */
  delete (member: T): void {
    if (!this.has(member)) return
    const last = this.#members.pop() as T
    if (last === member) return
    this.#members[member.rosterIndex] = last
    last.rosterIndex = member.rosterIndex
  }

  /** The last one first: so the one at hand may be deleted. Where another one is, one that was seen may come again. */
  * [Symbol.iterator] (): Generator<T, void> {
    for (let i = this.#members.length - 1; i >= 0; i--) {
      const member = this.#members[i]
      if (member) yield member
    }
  }
}
