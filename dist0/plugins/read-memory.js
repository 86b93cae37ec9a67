/** The memory that TCP connections are read into: one buffer for all, and of their own for those that stream. */
/** A stream's reads are as large as this: at 64 KiB an echo costs twice as much. */
export const BUFFER_BYTES = 262_144;
/** Buffers that streams have for themselves, 8 MiB in all; further streams have their reads copied. */
export const MAX_LENT = 32;
export class ReadMemory {
    /** What is read here is gone with the next read of anybody. */
    shared = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    #free = [];
    #lent = 0;
    /** A buffer for one connection alone; undefined where all are lent. */
    lend() {
        if (this.#lent === MAX_LENT)
            return;
        this.#lent++;
        return this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES);
    }
    giveBack(buffer) {
        this.#lent--;
        this.#free.push(buffer);
    }
}
