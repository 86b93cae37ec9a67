/** A WebSocket to this server that comes back by itself. */

const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 10_000
/** A server that is gone without a word is noticed by its silence. */
const SILENCE_MS = 5000

export type LinkState = { readonly is: 'open' } | { readonly is: 'lost', readonly retryAt: number }

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
    this.connect()
  }

  /** Tries now; of use while it waits for its next try. */
  connect (): void {
    clearTimeout(this.#retryTimer)
    const socket = new WebSocket(webSocketUrl(this.#path))
    this.#socket = socket
    this.#listenForSilence()
    socket.onopen = () => {
      this.#options.onOpen?.()
      this.#options.onState({ is: 'open' })
    }
    socket.onmessage = ({ data }) => {
      // Not with its opening: a server that takes connections and says nothing is not back.
      this.#retryMs = FIRST_RETRY_MS
      this.#listenForSilence()
      this.#options.onMessage(JSON.parse(String(data)))
    }
    socket.onclose = () => { if (this.#socket === socket) this.#lost() }
  }

  send (message: unknown): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message))
  }

  #lost (): void {
    const socket = this.#socket
    this.#socket = undefined
    socket?.close()
    clearTimeout(this.#silenceTimer)
    // Spread, so that the viewers of a restarted server do not come all at once.
    const waitMs = this.#retryMs * (0.75 + Math.random() / 2)
    this.#retryMs = Math.min(this.#retryMs * 2, MAX_RETRY_MS)
    this.#options.onState({ is: 'lost', retryAt: Date.now() + waitMs })
    this.#retryTimer = window.setTimeout(() => this.connect(), waitMs)
  }

  #listenForSilence (): void {
    clearTimeout(this.#silenceTimer)
    if (this.#options.isSteady) this.#silenceTimer = window.setTimeout(() => this.#lost(), SILENCE_MS)
  }
}

export function webSocketUrl (path: string): string {
  return `${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}${path}`
}
