/** The memory that TCP connections are read into: one buffer for all, and of their own for those that stream. */

/** A stream's reads are as large as this: at 64 KiB an echo costs twice as much. */
export const BUFFER_BYTES = 262_144
/** As large as this while anybody else is there: with 64 KiB a flood is a third slower, with 128 KiB the others wait a fifth longer. */
const SMALL_BYTES = 98_304
/** Buffers that streams have for themselves, 8 MiB in all; further streams have their reads copied. */
export const MAX_LENT = 32

const smallPart = (buffer: Buffer): Buffer => buffer.subarray(0, SMALL_BYTES)

export class ReadMemory {
  /** What is read here is gone with the next read of anybody. */
  readonly shared = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  readonly #sharedSmall = smallPart(this.shared)
  readonly #free: Buffer[] = []
  #lent = 0

  /**
   * What the next read goes to.
   * @param own the connection's own buffer, where it has one.
   */
  part (own: Buffer | undefined, isSmall: boolean): Buffer {
    if (!isSmall) return own ?? this.shared
    return own ? smallPart(own) : this.#sharedSmall
  }

  /** A buffer for one connection alone; undefined where all are lent. */
  lend (): Buffer | undefined {
    if (this.#lent === MAX_LENT) return
    this.#lent++
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES)
  }

  giveBack (buffer: Buffer): void {
    this.#lent--
    this.#free.push(buffer)
  }
}
