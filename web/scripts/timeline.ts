/** One connection's life: connect, data in and out, half-close, close, and why. */
import type { FeedEvent } from '../../src/shared/messages.ts'
import { PROTOCOLS } from '../../src/shared/names.ts'
import { find, make, setText } from './dom.ts'
import { bytes, plural } from './format.ts'
import { describe } from './words.ts'

const MAX_ENTRIES = 200

export class Timeline {
  readonly #list = find('#follow-events')
  readonly #about = find('#follow-about')
  readonly #stop = find<HTMLButtonElement>('#follow-stop')
  #id: number | undefined
  #firstAt = 0
  #count = 0
  #bytesIn = 0
  #bytesOut = 0
  #last: FeedEvent | undefined

  constructor (onStop: () => void) {
    this.#stop.addEventListener('click', onStop)
  }

  /** @param past what is known of the connection already. */
  follow (id: number | undefined, past: readonly FeedEvent[]): void {
    this.#id = id
    this.#count = this.#bytesIn = this.#bytesOut = 0
    this.#last = undefined
    this.#list.replaceChildren()
    this.#stop.hidden = id === undefined
    if (id === undefined) {
      return
    }
    if (past[0]?.type !== 'connect') this.#entry('', '', ['began before what is shown here'])
    for (const event of past) this.add(event)
    if (past.length === 0) this.#describe()
  }

  add (event: FeedEvent): void {
    this.#firstAt = this.#count++ === 0 ? event.at : this.#firstAt
    this.#last = event
    if (event.type === 'receive') this.#bytesIn += event.bytes ?? 0
    if (event.type === 'send') this.#bytesOut += event.bytes ?? 0
    if (this.#count <= MAX_ENTRIES || event.type === 'close') {
      this.#entry(`+${event.at - this.#firstAt} ms`, event.transport, describe(event))
    }
    this.#describe()
  }

  #describe (): void {
    const last = this.#last
    const sums = last ? ` · ${PROTOCOLS[last.transport]} ${last.service} · ${last.peer} · ${bytes(this.#bytesIn)} in, ${bytes(this.#bytesOut)} out` : ''
    const more = this.#count > MAX_ENTRIES ? ` · ${plural(this.#count - MAX_ENTRIES, 'event')} not shown` : ''
    setText(this.#about, `Connection ${this.#id}${sums}${more}`)
  }

  #entry (time: string, colour: string, words: (Node | string)[]): void {
    this.#list.append(make('li', colour, make('time', '', time), make('span', '', ...words)))
    this.#list.scrollTop = this.#list.scrollHeight
  }
}
