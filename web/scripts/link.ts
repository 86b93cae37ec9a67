/** A WebSocket to this server that comes back by itself. */

const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 10_000
/** A server that is gone without a word is noticed by its silence. */
const SILENCE_MS = 5000

/** RFC 6455's registry: the server is full. */
const TRY_AGAIN_LATER = 1013

export type LinkState =
  | { readonly is: 'open' }
  | { readonly is: 'connecting' }
  | { readonly is: 'lost', readonly retryAt: number, readonly isFull: boolean }

export interface LinkOptions {
  readonly onOpen?: () => void
  readonly onMessage: (message: unknown) => void
  readonly onState: (state: LinkState) => void
  /** Whether the server is never silent for long on this one. */
  readonly isSteady?: boolean
}

export class Link {
  readonly #path: string
  readonly #options: LinkOptions
  #socket: WebSocket | undefined
  #retryMs = FIRST_RETRY_MS
  #retryTimer = 0
  #silenceTimer = 0

  constructor (path: string, options: LinkOptions) {
    this.#path = path
    this.#options = options
    // Its owner must have it before it tells of its state.
    queueMicrotask(() => this.connect())
  }

  /** Tries now, unless it does already. */
  connect (): void {
    clearTimeout(this.#retryTimer)
    if (this.#socket) return
    const socket = new WebSocket(webSocketUrl(this.#path))
    let isOpen = false
    this.#socket = socket
    this.#options.onState({ is: 'connecting' })
    this.#listenForSilence()
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return
      this.#retryMs = FIRST_RETRY_MS
      this.#listenForSilence()
      // Only now: a server that takes connections and says nothing, or that it is full, is not there for us.
      if (!isOpen) {
        isOpen = true
        this.#options.onOpen?.()
        this.#options.onState({ is: 'open' })
      }
      this.#options.onMessage(JSON.parse(String(data)))
    }
    socket.onclose = ({ code }) => { if (this.#socket === socket) this.#lost(code === TRY_AGAIN_LATER) }
  }

  send (message: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  /** Gives up a connection that may not know yet that it is broken. */
  drop (): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#lost()
  }

  #lost (isFull = false): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
    clearTimeout(this.#silenceTimer)
    // Spread, so that the viewers of a restarted server do not come all at once.
    const waitMs = this.#retryMs * (0.75 + Math.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS)
    this.#options.onState({ is: 'lost', retryAt: Date.now() + waitMs, isFull })
    this.#retryTimer = window.setTimeout(() => this.connect(), waitMs)
  }

  #listenForSilence (): void {
    clearTimeout(this.#silenceTimer)
    if (this.#options.isSteady) this.#silenceTimer = window.setTimeout(() => this.#lost(), SILENCE_MS)
  }
}

/** @param path relative to the page, which a proxy may serve under a path of its own: `ws/echo`. */
export function webSocketUrl (path: string): string {
  return new URL(path, document.baseURI).href.replace(/^http/, 'ws')
}
