/** Measures how long a client has neither sent nor taken a byte. The sweep checks all clients, which needs no timer for each. */
import type { Socket } from 'node:net'

export class Silence {
  readonly #socket: Socket
  readonly #onSilent: () => void
  #bytes = 0
  #since = performance.now()

  /** @param onSilent may be called more than once. */
  constructor (socket: Socket, onSilent: () => void) {
    this.#socket = socket
    this.#onSilent = onSilent
  }

  /** Calls `onSilent` if the client has been silent for `limitMs`. */
  check (now: number, limitMs: number): void {
    const socket = this.#socket
    const bytes = socket.bytesRead + socket.bytesWritten
    if (bytes !== this.#bytes) {
      this.#bytes = bytes
      this.#since = now
    } else if (socket.writableLength > 0) {
      // Only the socket's own timer knows how much of a pending write the client has taken.
      if (!socket.timeout) socket.setTimeout(limitMs, this.#confirm)
    } else if (socket.timeout) {
      socket.setTimeout(0, this.#confirm)
      this.#since = now
    } else if (now - this.#since >= limitMs) {
      this.#confirm()
    }
  }

  /**
   * Waits for the reads of this turn. After the process was stopped (SIGSTOP), timers fire before reads, and a client that has
   * sent something would be taken for silent.
   */
  readonly #confirm = (): void => {
    const { bytesRead } = this.#socket
    setImmediate(() => {
      if (this.#socket.bytesRead === bytesRead && !this.#socket.destroyed) this.#onSilent()
    })
  }
}
