/** Sends all answers to one read with one system call. */
import type { Socket } from 'node:net'

/** Most bytes to hold back. */
const MAX_BYTES = 65_536

export class Cork {
  readonly #socket: Socket
  #isIn = false

  constructor (socket: Socket) {
    this.#socket = socket
  }

  /** Holds writes back until the end of this tick. */
  in (): void {
    if (this.#isIn) {
      if (this.#socket.writableLength > MAX_BYTES) this.out()
      return
    }
    this.#isIn = true
    this.#socket.cork()
    process.nextTick(pull, this)
  }

  /** Sends the writes that are held back. */
  out (): void {
    if (!this.#isIn) return
    this.#isIn = false
    this.#socket.uncork()
  }
}

function pull (cork: Cork): void { cork.out() }
