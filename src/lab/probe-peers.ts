/** The addresses that probes connect from, so that others can tell a probe's connections from a user's. */

/** The feed tells of events a moment after they happened: an address is the probe's for so long after its end. */
const FORGET_MS = 500

export class ProbePeers {
  /** With what each belongs to: another probe may have got a port that was one's before. */
  readonly #owners = new Map<string, object>()
  readonly #connecting = new Map<object, number>()

  has (peer: string): boolean {
    // Most often there is no probe, and no need for the text's hash.
    return this.#owners.size > 0 && this.#owners.has(peer)
  }

  get size (): number {
    return this.#owners.size
  }

  /** Whether there may be a connection of a probe whose address is not known yet. */
  get isConnecting (): boolean {
    return this.#connecting.size > 0
  }

  add (owner: object, peer: string): void {
    this.#owners.set(peer, owner)
  }

  remove (owner: object, peer: string): void {
    setTimeout(() => { if (this.#owners.get(peer) === owner) this.#owners.delete(peer) }, FORGET_MS).unref()
  }

  connecting (owner: object, isConnecting: boolean): void {
    const count = (this.#connecting.get(owner) ?? 0) + (isConnecting ? 1 : -1)
    if (count > 0) this.#connecting.set(owner, count)
    else this.#connecting.delete(owner)
  }

  removeAll (owner: object): void {
    this.#connecting.delete(owner)
    for (const [peer, one] of this.#owners) if (one === owner) this.remove(owner, peer)
  }
}
