/** The WebSocket playground: this browser and `/ws/echo`, frame by frame. */
import { find, findAll, isDisabled, make, setDisabled, setText } from './dom.ts'
import { bytes, clock, hex, milliseconds, visible } from './format.ts'
import { webSocketUrl } from './link.ts'

const MAX_FRAMES = 100
const MAX_SHOWN = 200
/** RFC 6455, section 5.5: a control frame carries 125 bytes, of which the code takes two. */
const MAX_REASON_BYTES = 123
const NOT_CONNECTED = 'Not connected: press Connect first'

export class Playground {
  readonly #state = find('#ws-state')
  readonly #connect = find<HTMLButtonElement>('#ws-connect')
  readonly #send = find<HTMLFormElement>('#ws-send')
  readonly #close = find<HTMLFormElement>('#ws-close')
  readonly #frames = find('#frames')
  readonly #problem = find('#ws-problem')
  #socket: WebSocket | undefined
  /** Every message that is not answered yet: echoes come back in order. */
  #sent: { readonly at: number, readonly isPing: boolean }[] = []
  #wasConnected = false

  constructor () {
    this.#enable(false)
    this.#connect.addEventListener('click', () => { if (!isDisabled(this.#connect)) this.#open() })
    find('#ws-ping').addEventListener('click', () => this.#say('ping', new Uint8Array()))
    this.#send.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#sendForm()
    })
    this.#close.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#closeForm()
    })
  }

  #open (): void {
    const socket = new WebSocket(webSocketUrl('/ws/echo'))
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#sent = []
    setDisabled(this.#connect, true)
    setText(this.#problem, '')
    setText(this.#state, 'connecting …')
    socket.onopen = () => {
      this.#wasConnected = true
      this.#enable(true)
      setText(this.#state, 'connected')
      this.#frame('←', 'open', undefined, undefined, '101 Switching Protocols')
    }
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      const now = performance.now()
      const isText = typeof data === 'string'
      const content = isText ? new TextEncoder().encode(data) : new Uint8Array(data)
      const sent = this.#sent.shift()
      this.#frame('←', isText ? 'text' : sent?.isPing ? 'pong' : 'binary', content.length, sent && now - sent.at, preview(content, isText))
    }
    socket.onclose = ({ code, reason, wasClean }) => {
      this.#enable(false)
      setText(this.#state, `closed with ${code}${reason ? ` ${reason}` : ''}`)
      setText(this.#connect, this.#wasConnected ? 'Reconnect' : 'Connect')
      this.#frame('←', 'close', undefined, undefined, `${code}${reason ? ` ${visible(reason)}` : ''}${wasClean ? '' : ', without a close frame'}`)
    }
  }

  #sendForm (): void {
    const data = new FormData(this.#send)
    const message = String(data.get('message'))
    if (data.get('kind') === 'text') {
      this.#say('text', message)
      return
    }
    const digits = message.replaceAll(/\s/g, '')
    if (!/^([0-9a-f]{2})*$/i.test(digits)) {
      setText(this.#problem, 'A binary message is written in hex, two digits a byte: 48 65 6c 6c 6f')
      return
    }
    this.#say('binary', Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16)))
  }

  #say (kind: 'text' | 'binary' | 'ping', message: string | Uint8Array<ArrayBuffer>): void {
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      setText(this.#problem, NOT_CONNECTED)
      return
    }
    setText(this.#problem, '')
    this.#sent.push({ at: performance.now(), isPing: kind === 'ping' })
    this.#socket.send(message)
    const content = typeof message === 'string' ? new TextEncoder().encode(message) : message
    this.#frame('→', kind, content.length, undefined, preview(content, kind === 'text'))
  }

  #closeForm (): void {
    const data = new FormData(this.#close)
    const code = Number(data.get('code'))
    const reason = String(data.get('reason'))
    if (this.#socket?.readyState !== WebSocket.OPEN) {
      setText(this.#problem, NOT_CONNECTED)
    } else if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
      setText(this.#problem, 'A browser may close with 1000, or with a code from 3000 to 4999')
    } else if (new TextEncoder().encode(reason).length > MAX_REASON_BYTES) {
      setText(this.#problem, `A reason has at most ${MAX_REASON_BYTES} bytes`)
    } else {
      setText(this.#problem, '')
      this.#frame('→', 'close', undefined, undefined, `${code} ${reason}`.trim())
      this.#socket.close(code, reason)
    }
  }

  #enable (isOpen: boolean): void {
    for (const button of findAll<HTMLButtonElement>('#ws-send button, #ws-close button')) setDisabled(button, !isOpen)
    setDisabled(this.#connect, isOpen)
  }

  #frame (direction: '→' | '←', kind: string, size: number | undefined, roundTripMs: number | undefined, what: string): void {
    this.#frames.prepend(make('tr', '',
      make('td', '', clock(Date.now())),
      make('td', '', direction === '→' ? '→ sent' : '← received'),
      make('td', '', kind),
      make('td', 'number', size === undefined ? '' : bytes(size)),
      make('td', 'number', roundTripMs === undefined ? '' : milliseconds(roundTripMs)),
      make('td', 'what', what)))
    if (this.#frames.childElementCount > MAX_FRAMES) this.#frames.lastElementChild?.remove()
  }
}

function preview (content: Uint8Array, isText: boolean): string {
  const cut = content.subarray(0, MAX_SHOWN)
  return `${isText ? visible(new TextDecoder().decode(cut, { stream: true })) : hex(cut)}${content.length > MAX_SHOWN ? ' …' : ''}`
}
