/** Whether the page is live, and if not, when it tries again. */
import { find, setText } from './dom.ts'
import type { LinkState } from './link.ts'

const TICK_MS = 500

export class Status {
  readonly #root = find('#link')
  readonly #text = find('#link-state')
  readonly #countdown = find('#link-countdown')
  readonly #retry = find<HTMLButtonElement>('#link-retry')
  #retryAt = Infinity

  constructor (onRetry: () => void) {
    this.#retry.addEventListener('click', onRetry)
    setInterval(() => this.#count(), TICK_MS)
  }

  show (states: readonly LinkState[]): void {
    const lost = states.filter((state) => state.is === 'lost')
    const isLive = states.every(({ is }) => is === 'open')
    this.#root.classList.toggle('live-now', isLive)
    this.#root.classList.toggle('lost', !isLive && (lost.length > 0 || this.#root.classList.contains('lost')))
    this.#retryAt = Math.min(...lost.map(({ retryAt }) => retryAt))
    if (isLive) setText(this.#text, 'Live')
    else if (lost.some(({ isFull }) => isFull)) setText(this.#text, 'The server has no room for another viewer.')
    else if (lost.length > 0) setText(this.#text, 'Connection lost.')
    // While it tries, what it said last stands.
    if (isLive || lost.length > 0) this.#retry.hidden = isLive
    this.#count()
  }

  /** Beside the status, not in it: a screen reader would tell every second. */
  #count (): void {
    const seconds = Math.max(0, Math.ceil((this.#retryAt - Date.now()) / 1000))
    setText(this.#countdown, this.#retry.hidden ? '' : Number.isFinite(seconds) ? `Trying again in ${seconds} s.` : 'Trying again now.')
  }
}
