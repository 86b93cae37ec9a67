/** The places of one service: how many connections it takes, in all and from one address. */
export class Gate {
    #max;
    #maxPerAddress;
    #perAddress = new Map();
    #taken = 0;
    constructor({ maxConnections, maxPerAddress }) {
        this.#max = maxConnections;
        this.#maxPerAddress = maxPerAddress;
    }
    /** Which of the two limits one more connection from this address would cross. */
    refusal(address) {
        if (this.#taken >= this.#max)
            return 'MAX_CONNECTIONS';
        if ((this.#perAddress.get(address) ?? 0) >= this.#maxPerAddress)
            return 'MAX_PER_ADDRESS';
    }
    enter(address) {
        this.#taken++;
        this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1);
    }
    leave(address) {
        this.#taken--;
        const left = (this.#perAddress.get(address) ?? 1) - 1;
        if (left === 0)
            this.#perAddress.delete(address);
        else
            this.#perAddress.set(address, left);
    }
}
