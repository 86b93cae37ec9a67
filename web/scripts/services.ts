/** The services: their counters, live; lines to copy; and Run it. */
import type { RunResult, Segment, ServiceCounts } from '../../src/shared/messages.ts'
import { stateText } from '../../src/shared/names.ts'
import type { Transport } from '../../src/shared/transport.ts'
import { find, findAll, isDisabled, make, setDisabled, setText } from './dom.ts'
import { eventRow } from './event-row.ts'
import { bytes, hex, milliseconds, plural, visible } from './format.ts'
import { closeCode } from './words.ts'

const COPIED_MS = 1500
const COUNTS = ['open', 'total', 'bytesIn', 'bytesOut'] as const

export class Services {
  readonly #rows = findAll('.service')

  constructor () {
    find('.services').addEventListener('click', ({ target }) => {
      const button = (target as Element).closest('button')
      if (button?.classList.contains('copy')) copy(button).catch(() => {})
      else if (button?.classList.contains('close')) {
        const service = button.closest<HTMLElement>('.service')
        service?.querySelector('.run-result')?.replaceChildren()
        service?.querySelector<HTMLElement>('.run')?.focus()
      } else if (button?.dataset.run && !isDisabled(button)) run(button).catch(() => {})
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
      // Its lines, and Run it, are the server's to write.
      if (state.classList.contains('busy')) location.reload()
      state.className = `state ${service.state}`
      setText(state, stateText(service))
    }
  }
}

async function copy (button: HTMLButtonElement): Promise<void> {
  const label = find('span', button)
  const say = (text: string) => {
    setText(label, text)
    setTimeout(() => setText(label, 'Copy'), COPIED_MS)
  }
  const code = find('code', button.parentElement ?? document)
  try {
    await navigator.clipboard.writeText(code.textContent ?? '')
  } catch {
    // The clipboard is for secure contexts only; over plain HTTP from elsewhere the line is at least selected.
    const selection = getSelection()
    selection?.selectAllChildren(code)
    if (!document.execCommand('copy')) {
      return say('Selected')
    }
    selection?.removeAllRanges()
  }
  say('Copied')
}

async function run (button: HTMLButtonElement): Promise<void> {
  const service = button.closest<HTMLElement>('.service')
  if (!service) return
  const output = find('.run-result', service)
  const query = new URLSearchParams({ service: button.dataset.run ?? '', port: service.dataset.port ?? '' })
  setDisabled(button, true)
  try {
    const response = await fetch(`api/lab/run?${query}`, { method: 'POST' })
    const answer = await response.json() as RunResult & { message: string }
    const protocol = find('.protocol', service).className.replace('protocol ', '') as Transport
    output.replaceChildren(...(response.ok ? show(answer, protocol) : [make('p', 'problem', `Refused: ${answer.message}`)]))
  } catch {
    output.replaceChildren(make('p', 'problem', 'The server did not answer.'))
  } finally {
    // The whole transcript would be too much to be read out.
    setText(find('.run-said', service), find('.verdict, .problem', output).textContent ?? '')
    setDisabled(button, false)
  }
}

function show (result: RunResult, protocol: Transport): Node[] {
  const { segments, omitted, error, address, events } = result
  const steps = make('ol', 'transcript', ...segments.map((segment) => make('li', '',
    make('time', '', milliseconds(segment.ms)),
    make('span', `step ${protocol}`, `${segment.direction === 'sent' ? '→' : '←'} ${what(segment)}`),
    ...(segment.bytes > 0 ? [make('code', 'hex', cut(hex(segment.hex), segment)), make('code', 'text', cut(visible(segment.text), segment))] : []))))
  const began = events[0]?.at ?? 0
  const wire = make('ol', 'events', ...events.map((event) => eventRow(event, `+${event.at - began} ms`, false)))
  const close = make('button', 'close', 'Close')
  close.type = 'button'
  return [
    make('div', 'head', make('p', 'verdict', verdict(segments, protocol)), close),
    ...(error ? [make('p', 'problem', `It broke off: ${error}`)] : []),
    make('div', 'sides',
      make('section', '', make('h3', '', `The client, at ${address}`), steps),
      make('section', '', make('h3', '', 'The same on the wire, as the server saw it'), wire)),
    ...(omitted > 0 ? [make('p', 'about', `${plural(omitted, 'more step')} left out.`)] : [])
  ]
}

function what ({ what, note, bytes: size }: Segment): string {
  const words = { connect: 'connected', data: `${size} B`, text: `text, ${size} B`, binary: `binary, ${size} B`, datagram: `datagram, ${size} B`, fin: 'FIN', close: 'close', silence: 'nothing' }[what]
  const meaning = what === 'close' && note ? closeCode(parseInt(note, 10)) : note
  return meaning ? `${words}: ${meaning}` : words
}

function cut (text: string, { bytes: all, hex: shown }: Segment): string {
  return shown.length / 2 < all ? `${text} …` : text
}

/** What this run shows: which transports keep apart what was sent apart. */
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
      : `${plural(received, 'message')} came without being asked for.`
    case 'udp': return received > 0
      ? `${plural(sent, 'datagram')} went out, ${received} came back: UDP keeps datagrams apart, and does not promise delivery.`
      : `${plural(sent, 'datagram')} went out, and nothing came back: this service only listens.`
    case 'http': return 'HTTP is text over TCP: this is the whole conversation.'
  }
}
