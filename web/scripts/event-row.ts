/** One event of the wire as a row: on a wide screen one line, on a narrow one two. */
import type { FeedEvent } from '../../src/shared/messages.ts'
import { PROTOCOLS } from '../../src/shared/names.ts'
import { make } from './dom.ts'
import { bytes } from './format.ts'
import { describe } from './words.ts'
import { isYours } from './you.ts'

/** @param time as it is to be shown. @param canFollow whether the connection's number is a button. */
export function eventRow (event: FeedEvent, time: string, canFollow: boolean): HTMLLIElement {
  const { transport, service, connection, peer, type, bytes: size } = event
  const who = make('span', 'who', make('span', 'service-name', service))
  if (connection !== 0) who.append(canFollow ? followButton(connection) : make('span', 'connection', `#${connection}`))
  const mine = isYours(peer)
  const row = make('li', mine ? 'yours' : '',
    make('time', '', time), make('span', `protocol ${transport}`, PROTOCOLS[transport]), who,
    make('span', 'what', ...describe(event), ...(mine ? [make('span', 'you', 'you')] : [])),
    make('span', 'size', size === undefined ? '' : bytes(size)))
  row.classList.toggle('refused', type === 'refuse')
  row.dataset.service = service
  row.dataset.connection = String(connection)
  row.dataset.type = type
  return row
}

function followButton (connection: number): HTMLButtonElement {
  const button = make('button', 'connection', `#${connection}`)
  button.type = 'button'
  button.dataset.follow = String(connection)
  button.setAttribute('aria-label', `Follow connection ${connection}`)
  return button
}
