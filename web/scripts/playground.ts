/** The WebSocket playground: this browser and `/ws/echo`, message by message. */
import { find, isDisabled, make, setDisabled, setText } from './dom.ts'
import { bytes, clock, hex, milliseconds, visible } from './format.ts'
import { webSocketUrl } from './link.ts'
import { closeCode } from './words.ts'

const MAX_FRAMES = 100
const MAX_SHOWN = 200
/** RFC 6455, section 5.5: a control frame carries 125 bytes, of which the code takes two. */
const MAX_REASON_BYTES = 123

export class Playground {
  readonly #state = find('#ws-state')
  readonly #send = find<HTMLFormElement>('#ws-send')
  readonly #close = find<HTMLFormElement>('#ws-close')
  readonly #closeButton = find<HTMLButtonElement>('#ws-close [type="submit"]')
  readonly #frames = find('#frames')
  readonly #problem = find('#ws-problem')
  /** Called for every message that was sent, and for every answer. */
  onSent = (): void => {}
  onEcho = (): void => {}
  #socket: WebSocket | undefined
  /** What waits for the connection. */
  #waiting: ((socket: WebSocket) => void)[] = []
  /** When every message was sent that is not answered yet: echoes come back in order. */
  #sent: number[] = []

  constructor () {
    setDisabled(this.#closeButton, true)
    this.#send.addEventListener('submit', (event) => {
      event.preventDefault()
      this.#sendForm()
    })
    this.#close.addEventListener('submit', (event) => {
      event.preventDefault()
      if (!isDisabled(this.#closeButton)) this.#closeForm()
    })
  }

  /** The open WebSocket: it is connected when it is first needed, and again after its end. */
  #open (use: (socket: WebSocket) => void): void {
    if (this.#socket?.readyState === WebSocket.OPEN) return use(this.#socket)
    this.#waiting.push(use)
    if (this.#socket?.readyState === WebSocket.CONNECTING) return
    const socket = new WebSocket(webSocketUrl('ws/echo'))
    socket.binaryType = 'arraybuffer'
    this.#socket = socket
    this.#sent = []
    setText(this.#state, 'connecting …')
    socket.onopen = () => {
      setDisabled(this.#closeButton, false)
      setText(this.#state, 'connected')
      this.#frame('←', 'open', undefined, undefined, 'HTTP 101, Switching Protocols')
      for (const waiting of this.#waiting.splice(0)) waiting(socket)
    }
    socket.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => {
      if (this.#socket !== socket) return
      this.onEcho()
      const now = performance.now()
      const isText = typeof data === 'string'
      const content = isText ? new TextEncoder().encode(data) : new Uint8Array(data)
      const sentAt = this.#sent.shift()
      this.#frame('←', isText ? 'text' : 'binary', content.length, sentAt && now - sentAt, preview(content, isText))
    }
    socket.onclose = ({ code, reason }) => {
      if (this.#socket !== socket) return
      this.#waiting = []
      setDisabled(this.#closeButton, true)
      const why = `${closeCode(code)}${reason ? `: ${visible(reason)}` : ''}`
      setText(this.#state, `closed with ${why}`)
      this.#frame('←', 'close', undefined, undefined, why)
    }
  }

  #sendForm (): void {
    const data = new FormData(this.#send)
    const message = String(data.get('message'))
    if (data.get('kind') === 'text') return this.#say('text', message)
    const digits = message.replaceAll(/\s/g, '')
    if (!/^([0-9a-f]{2})*$/i.test(digits)) {
      setText(this.#problem, 'A binary message is written in hex, two digits for each byte: 48 65 6c 6c 6f')
      return
    }
    this.#say('binary', Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16)))
  }

  #say (kind: 'text' | 'binary', message: string | Uint8Array<ArrayBuffer>): void {
    setText(this.#problem, '')
    this.#open((socket) => {
      this.#sent.push(performance.now())
      socket.send(message)
      this.onSent()
      const content = typeof message === 'string' ? new TextEncoder().encode(message) : message
      this.#frame('→', kind, content.length, undefined, preview(content, kind === 'text'))
    })
  }

  #closeForm (): void {
    const data = new FormData(this.#close)
    const code = Number(data.get('code'))
    const reason = String(data.get('reason'))
    if (code !== 1000 && !(Number.isInteger(code) && code >= 3000 && code <= 4999)) {
      setText(this.#problem, `A browser may close with 1000 or with a code from 3000 to 4999, not with ${closeCode(code)}`)
    } else if (new TextEncoder().encode(reason).length > MAX_REASON_BYTES) {
      setText(this.#problem, `A reason has at most ${MAX_REASON_BYTES} bytes`)
    } else {
      setText(this.#problem, '')
      this.#frame('→', 'close', undefined, undefined, `${closeCode(code)}${reason ? `: ${reason}` : ''}`)
      this.#socket?.close(code, reason)
    }
  }

  #frame (direction: '→' | '←', kind: string, size: number | undefined, roundTripMs: number | undefined, what: string): void {
    this.#frames.append(make('li', '',
      make('time', '', clock(Date.now())),
      make('span', 'step', `${direction} ${kind}`),
      make('span', 'size', [size === undefined ? '' : bytes(size), roundTripMs === undefined ? '' : milliseconds(roundTripMs)].filter(Boolean).join(' · ')),
      make('code', 'what', what)))
    if (this.#frames.childElementCount > MAX_FRAMES) this.#frames.firstElementChild?.remove()
    this.#frames.scrollTop = this.#frames.scrollHeight
  }
}

function preview (content: Uint8Array, isText: boolean): string {
  const cut = content.subarray(0, MAX_SHOWN)
  return `${isText ? visible(new TextDecoder().decode(cut, { stream: true })) : hex(cut)}${content.length > MAX_SHOWN ? ' …' : ''}`
}
