/** The addresses that probes connect from: they tell a probe's connections from a user's. */

/** An address stays known this long after its connection ended: the feed reports events a moment late. */
const FORGET_MS = 500

export class ProbePeers {
  /** The owner of each address: another probe may have reused the port. */
  readonly #owners = new Map<string, object>()
  readonly #connecting = new Map<object, number>()

  has (peer: string): boolean {
    return this.#owners.size > 0 && this.#owners.has(peer)
  }

  get size (): number {
    return this.#owners.size
  }

  /** Whether a probe is opening a connection whose address is not known yet. */
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
