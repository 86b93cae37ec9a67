/** The wire: the feed as a live table, and one connection's life as a time line. */
import type { FeedEvent } from '../../src/shared/messages.ts'
import type { FeedMessage, FeedRequest } from '../../src/shared/messages.ts'
import { PROTOCOLS } from '../../src/shared/names.ts'
import type { Transport } from '../../src/shared/transport.ts'
import { find, findAll, make, setText } from './dom.ts'
import { bytes, clock } from './format.ts'
import { Timeline } from './timeline.ts'

const MAX_ROWS = 200
/** Kept beyond what the table shows, so that a connection that is chosen has a past. */
const MAX_KEPT = 2000

const EVENTS: Readonly<Record<FeedEvent['type'], string>> = {
  connect: 'connect', receive: '← data in', send: '→ data out', 'half-close': 'half-close (FIN)', close: 'close', refuse: 'refused'
}

export class Wire {
  readonly #form = find<HTMLFormElement>('#wire-filter')
  readonly #pause = find<HTMLButtonElement>('#wire-pause')
  readonly #body = find('#events')
  readonly #timeline = new Timeline(() => this.#follow(undefined))
  readonly #request: (request: FeedRequest) => void
  #kept: FeedEvent[] = []
  #follows: number | undefined
  #isPaused = false
  #shown = 0
  #notShown = 0
  /** Events that the filter would have let through, and all events, since the pause. */
  #whilePaused = 0
  #keptSincePause = 0
  #instance: string | undefined

  constructor (request: (request: FeedRequest) => void) {
    this.#request = request
    this.#form.addEventListener('change', () => {
      this.#ask()
      this.#redraw()
    })
    this.#form.addEventListener('submit', (event) => event.preventDefault())
    this.#pause.addEventListener('click', () => this.#togglePause())
    this.#body.addEventListener('click', ({ target }) => {
      const id = (target as Element).closest<HTMLElement>('[data-follow]')?.dataset.follow
      if (id) this.#follow(Number(id))
    })
  }

  /** A new link knows no filter yet. */
  opened (): void {
    this.#ask()
  }

  heard (message: FeedMessage): void {
    if (message.type === 'hello') this.#greeted(message.instance)
    if (message.type !== 'events') return
    const { events, dropped } = message
    this.#notShown += dropped
    this.#kept.push(...events)
    if (this.#kept.length > MAX_KEPT) this.#kept.splice(0, this.#kept.length - MAX_KEPT)
    for (const event of events) if (event.connection === this.#follows) this.#timeline.add(event)
    const wanted = this.#wanted(events)
    if (this.#isPaused) {
      this.#whilePaused += wanted.length
      this.#keptSincePause += events.length
    } else {
      this.#add(wanted)
    }
    this.#count()
  }

  /** Another server counts its connections from 1 again: what is known is of others. */
  #greeted (instance: string): void {
    if (this.#instance !== undefined && this.#instance !== instance) {
      this.#kept = []
      this.#keptSincePause = this.#whilePaused = 0
      this.#follow(undefined)
      this.#redraw()
    }
    this.#instance = instance
  }

  #togglePause (): void {
    this.#isPaused = !this.#isPaused
    this.#pause.setAttribute('aria-pressed', String(this.#isPaused))
    setText(this.#pause, this.#isPaused ? 'Go on' : 'Pause')
    if (!this.#isPaused) {
      this.#notShown += Math.max(0, this.#whilePaused - MAX_ROWS)
      this.#whilePaused = this.#keptSincePause = 0
      this.#redraw()
    }
    this.#count()
  }

  get #filter (): { transports: Transport[], service: string } {
    const data = new FormData(this.#form)
    return { transports: data.getAll('transport') as Transport[], service: String(data.get('service')) }
  }

  #ask (): void {
    const { transports, service } = this.#filter
    this.#request({ transports, ...(service && { service }), ...(this.#follows !== undefined && { follow: this.#follows }) })
  }

  #wanted (events: readonly FeedEvent[]): FeedEvent[] {
    const filter = this.#filter
    return events.filter(({ transport, service, connection }) =>
      (filter.transports.includes(transport) && (!filter.service || filter.service === service)) || connection === this.#follows)
  }

  /** Shows what is known again, for another filter. */
  #redraw (): void {
    this.#body.replaceChildren()
    this.#shown = 0
    const known = this.#kept.slice(0, Math.max(0, this.#kept.length - this.#keptSincePause))
    this.#add(this.#wanted(known), true)
    this.#count()
  }

  /** The newest first. Rows that fall out of the table are used again. */
  #add (events: readonly FeedEvent[], isOld = false): void {
    const fresh = events.slice(-MAX_ROWS)
    if (!isOld) this.#notShown += events.length - fresh.length
    for (const event of fresh) {
      const row = this.#shown === MAX_ROWS ? this.#body.lastElementChild as HTMLTableRowElement : newRow()
      if (this.#shown < MAX_ROWS) this.#shown++
      fill(row, event, event.connection !== 0 && event.connection === this.#follows)
      this.#body.prepend(row)
    }
    find('#events-none').hidden = this.#shown > 0
  }

  #count (): void {
    const parts = [`${this.#shown} shown`, `${this.#notShown} not shown`]
    if (this.#isPaused) parts.push(`paused: ${this.#whilePaused} since`)
    setText(find('#events-count'), parts.join(', '))
  }

  #follow (id: number | undefined): void {
    this.#follows = id
    this.#timeline.follow(id, this.#kept.filter(({ connection }) => connection === id))
    for (const row of findAll('tr', this.#body)) row.classList.toggle('followed', id !== undefined && row.dataset.connection === String(id))
    this.#ask()
  }
}

function newRow (): HTMLTableRowElement {
  return make('tr', '', make('td'), make('td', '', make('span')), make('td'), make('td'), make('td'), make('td', 'number'))
}

function fill (row: HTMLTableRowElement, { at, transport, service, connection, peer, type, reason, bytes: size }: FeedEvent, isFollowed: boolean): void {
  const [time, protocol, name, from, what, count] = row.cells as unknown as HTMLTableCellElement[]
  row.className = isFollowed ? 'followed' : ''
  row.dataset.connection = String(connection)
  row.dataset.type = type
  if (time) time.textContent = clock(at)
  const label = protocol?.firstElementChild
  if (label) {
    label.className = `protocol ${transport}`
    label.textContent = PROTOCOLS[transport]
  }
  if (name) name.textContent = service
  from?.replaceChildren(connection === 0 ? '–' : followButton(connection), make('span', 'peer', peer))
  what?.replaceChildren(EVENTS[type], ...(reason ? [make('span', 'reason', `: ${reason}`)] : []))
  if (count) count.textContent = size === undefined ? '' : bytes(size)
}

function followButton (connection: number): HTMLButtonElement {
  const button = make('button', '', String(connection))
  button.type = 'button'
  button.dataset.follow = String(connection)
  button.setAttribute('aria-label', `Follow connection ${connection}`)
  return button
}
