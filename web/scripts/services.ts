/** The services: their counters, live; lines to copy; and Run it. */
import type { Segment, ServiceCounts, Transcript } from '../../src/shared/messages.ts'
import { stateText } from '../../src/shared/names.ts'
import type { Transport } from '../../src/shared/transport.ts'
import { find, findAll, isDisabled, make, setDisabled, setText } from './dom.ts'
import { bytes, hex, milliseconds, plural, visible } from './format.ts'

const COPIED_MS = 1500
const COUNTS = ['open', 'total', 'bytesIn', 'bytesOut'] as const

export class Services {
  readonly #rows = findAll('tbody.service')

  constructor () {
    find('.services').addEventListener('click', ({ target }) => {
      const button = (target as Element).closest('button')
      if (button?.classList.contains('copy')) copy(button).catch(() => {})
      else if (button?.dataset.run && !isDisabled(button)) run(button).catch(() => {})
    })
  }

  /** False where these are not the services that this page was made with. */
  isSame (services: readonly ServiceCounts[]): boolean {
    return services.length === this.#rows.length && services.every(({ name, port }, index) =>
      this.#rows[index]?.dataset.service === name && this.#rows[index].dataset.port === String(port ?? ''))
  }

  update (services: readonly ServiceCounts[]): void {
    for (const [index, service] of services.entries()) {
      const row = this.#rows[index]
      if (!row) continue
      for (const name of COUNTS) {
        const value = service[name]
        setText(find(`[data-count="${name}"]`, row), name.startsWith('bytes') ? bytes(value) : String(value))
      }
      const state = find('.state', row)
      if (state.classList.contains(service.state)) continue
      state.className = `state ${service.state}`
      setText(state, stateText(service))
    }
  }
}

async function copy (button: HTMLButtonElement): Promise<void> {
  const code = find('code', button.parentElement ?? document)
  try {
    await navigator.clipboard.writeText(code.textContent ?? '')
  } catch {
    // The clipboard is for secure contexts only; over plain HTTP from elsewhere the line is at least selected.
    const selection = getSelection()
    selection?.selectAllChildren(code)
    if (!document.execCommand('copy')) {
      setText(button, 'Ctrl-C')
      return
    }
    selection?.removeAllRanges()
  }
  setText(button, 'Copied')
  setTimeout(() => setText(button, 'Copy'), COPIED_MS)
}

async function run (button: HTMLButtonElement): Promise<void> {
  const service = button.closest<HTMLElement>('tbody.service')
  if (!service) return
  const output = find('.transcript', service)
  const query = new URLSearchParams({ service: button.dataset.run ?? '', port: service.dataset.port ?? '' })
  setDisabled(button, true)
  try {
    const response = await fetch(`/api/lab/run?${query}`, { method: 'POST' })
    const answer = await response.json() as Transcript & { message: string }
    const protocol = find('.protocol', service).className.replace('protocol ', '') as Transport
    output.replaceChildren(...(response.ok ? show(answer, protocol) : [make('p', 'problem', `Refused: ${answer.message}`)]))
  } catch {
    output.replaceChildren(make('p', 'problem', 'The server did not answer.'))
  } finally {
    setDisabled(button, false)
  }
}

function show (transcript: Transcript, protocol: Transport): Node[] {
  const { segments, omitted, error, address } = transcript
  const rows = segments.map((segment) => make('tr', '',
    make('td', 'number', milliseconds(segment.ms)),
    make('td', segment.direction, segment.direction === 'sent' ? '→ sent' : '← received'),
    make('td', '', what(segment)),
    make('td', 'number', segment.bytes > 0 ? String(segment.bytes) : ''),
    make('td', 'hex', cut(hex(segment.hex), segment)),
    make('td', 'text', cut(visible(segment.text), segment))))
  const head = make('tr', '', ...['Time', 'Direction', 'What', 'Bytes', 'Hex', 'Text'].map((title) => {
    const cell = make('th', title === 'Time' || title === 'Bytes' ? 'number' : '', title)
    cell.scope = 'col'
    return cell
  }))
  const table = make('table', '', make('thead', '', head), make('tbody', '', ...rows))
  table.setAttribute('aria-label', `What went over the wire with ${address}`)
  table.tabIndex = 0
  return [
    make('p', 'verdict', verdict(segments, protocol)),
    table,
    ...(omitted > 0 ? [make('p', '', `${plural(omitted, 'segment')} not shown.`)] : []),
    ...(error ? [make('p', 'problem', `It broke off: ${error}`)] : [])
  ]
}

function what ({ what, note }: Segment): string {
  const words = { connect: 'connect', data: 'bytes', text: 'text message', binary: 'binary message', datagram: 'datagram', fin: 'FIN', close: 'close', silence: 'nothing' }[what]
  return note ? `${words}: ${note}` : words
}

function cut (text: string, { bytes: all, hex: shown }: Segment): string {
  return shown.length / 2 < all ? `${text} …` : text
}

/** What there is to be seen: which transports keep apart what was sent apart. */
function verdict (segments: readonly Segment[], protocol: Transport): string {
  const carried = segments.filter(({ bytes }) => bytes > 0)
  const sent = carried.filter(({ direction }) => direction === 'sent').length
  const received = carried.length - sent
  switch (protocol) {
    case 'tcp': return sent > 1
      ? `${plural(sent, 'write')} went out, ${plural(received, 'read')} came back: TCP is a stream of bytes and has no message boundaries.`
      : `${plural(received, 'read')} came back.`
    case 'websocket': return sent > 1
      ? `${plural(sent, 'message')} went out, ${received} came back: WebSocket keeps messages apart, over the same TCP.`
      : `${plural(received, 'message')} came unasked.`
    case 'udp': return received > 0
      ? `${plural(sent, 'datagram')} went out, ${received} came back: UDP keeps datagrams apart, and promises for none that it arrives.`
      : `${plural(sent, 'datagram')} went out, and nothing came back: it was heard, see its total.`
    case 'http': return 'HTTP is text over TCP: this is all of it.'
  }
}
