/** The places of one service: limits its connections, in total and for each address. */
export class Gate {
  readonly #max: number
  readonly #maxPerAddress: number
  readonly #perAddress = new Map<string, number>()
  #taken = 0

  constructor ({ maxConnections, maxPerAddress }: { readonly maxConnections: number, readonly maxPerAddress: number }) {
    this.#max = maxConnections
    this.#maxPerAddress = maxPerAddress
  }

  /** The limit that one more connection from this address would cross, if any. */
  refusal (address: string): 'MAX_CONNECTIONS' | 'MAX_PER_ADDRESS' | undefined {
    if (this.#taken >= this.#max) return 'MAX_CONNECTIONS'
    if ((this.#perAddress.get(address) ?? 0) >= this.#maxPerAddress) return 'MAX_PER_ADDRESS'
  }

  /** Takes a place; if there is none, returns the limit that was crossed. */
  enter (address: string): 'MAX_CONNECTIONS' | 'MAX_PER_ADDRESS' | undefined {
    const refusal = this.refusal(address)
    if (refusal) return refusal
    this.#taken++
    this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
  }

  leave (address: string): void {
    this.#taken--
    const left = (this.#perAddress.get(address) ?? 1) - 1
    if (left === 0) this.#perAddress.delete(address)
    else this.#perAddress.set(address, left)
  }
}
