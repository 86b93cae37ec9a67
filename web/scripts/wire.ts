/** The wire: the feed as a live list, and one connection's life as a time line. The newest stands at the end, as everywhere here. */
import type { FeedEvent, FeedMessage, FeedRequest } from '../../src/shared/messages.ts'
import type { Transport } from '../../src/shared/transport.ts'
import { find, findAll, setText } from './dom.ts'
import { eventRow } from './event-row.ts'
import { clock, plural } from './format.ts'
import { Timeline } from './timeline.ts'
import { iAm, isYours } from './you.ts'

const MAX_ROWS = 100
/** Kept beyond what the table shows, so that a connection that is chosen has a past. */
const MAX_KEPT = 2000

/** How long the list says that events are missing. */
const NOT_SHOWN_MS = 60_000
/** The list follows what comes while its end is in sight. */
const AT_END_PX = 40

export class Wire {
  readonly #form = find<HTMLFormElement>('#wire-filter')
  readonly #pause = find<HTMLButtonElement>('#wire-pause')
  readonly #list = find('#events')
  readonly #box = find('#events-box')
  readonly #timeline = new Timeline(() => this.#follow(undefined))
  readonly #request: (request: FeedRequest) => void
  readonly #onYours: (event: FeedEvent) => void
  #kept: FeedEvent[] = []
  #follows: number | undefined
  #isPaused = false
  #notShown = 0
  #notShownAt = 0
  /** Events that the filter would have let through, and all events, since the pause. */
  #whilePaused = 0
  #keptSincePause = 0
  #instance: string | undefined

  /** @param onYours told when the loop has something of the visitor's own. */
  constructor (request: (request: FeedRequest) => void, onYours: (event: FeedEvent) => void) {
    this.#request = request
    this.#onYours = onYours
    this.#form.addEventListener('change', () => {
      this.#ask()
      this.#redraw()
    })
    this.#form.addEventListener('submit', (event) => event.preventDefault())
    this.#pause.addEventListener('click', () => this.#togglePause())
    this.#list.addEventListener('click', ({ target }) => {
      const id = (target as Element).closest<HTMLElement>('[data-follow]')?.dataset.follow
      if (id) this.#follow(Number(id))
    })
  }

  /** A new link knows no filter yet. */
  opened (): void {
    this.#ask()
  }

  heard (message: FeedMessage): void {
    if (message.type === 'hello') {
      iAm(message.you)
      this.#greeted(message.instance)
    }
    if (message.type !== 'events') return
    const { events, dropped } = message
    if (Date.now() - this.#notShownAt > NOT_SHOWN_MS) this.#notShown = 0
    if (dropped > 0) this.#notShownAt = Date.now()
    this.#notShown += dropped
    this.#kept.push(...events)
    if (this.#kept.length > MAX_KEPT) this.#kept.splice(0, this.#kept.length - MAX_KEPT)
    for (const event of events) {
      if (event.connection === this.#follows) this.#timeline.add(event)
      if ((event.type === 'receive' || (event.type === 'connect' && event.transport === 'tcp')) && isYours(event.peer)) this.#onYours(event)
    }
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
    this.#list.replaceChildren()
    const known = this.#kept.slice(0, Math.max(0, this.#kept.length - this.#keptSincePause))
    this.#add(this.#wanted(known), true)
    this.#count()
  }

  #add (events: readonly FeedEvent[], isOld = false): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#box
    const isAtEnd = scrollHeight - scrollTop - clientHeight < AT_END_PX
    const fresh = events.slice(-MAX_ROWS)
    if (!isOld) this.#notShown += events.length - fresh.length
    this.#list.append(...fresh.map((event) => {
      const row = eventRow(event, clock(event.at), event.connection !== 0)
      row.classList.toggle('followed', event.connection !== 0 && event.connection === this.#follows)
      return row
    }))
    while (this.#list.childElementCount > MAX_ROWS) this.#list.firstElementChild?.remove()
    if (fresh.length > 0 && isAtEnd) this.#box.scrollTop = this.#box.scrollHeight
    find('#events-none').hidden = this.#list.childElementCount > 0
  }

  #count (): void {
    const parts = this.#notShown > 0 ? [`${plural(this.#notShown, 'event')} not shown: too many at once`] : []
    if (this.#isPaused) parts.push(`paused: ${this.#whilePaused} since`)
    setText(find('#events-count'), parts.join('; '))
  }

  #follow (id: number | undefined): void {
    this.#follows = id
    this.#timeline.follow(id, this.#kept.filter(({ connection }) => connection === id))
    find('.wire').classList.toggle('follows', id !== undefined)
    for (const row of findAll('li', this.#list)) row.classList.toggle('followed', id !== undefined && row.dataset.connection === String(id))
    this.#ask()
  }
}
