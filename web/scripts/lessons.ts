/** Block, Wait, Worker: the buttons, and what was measured. */
import type { LessonKind, LessonResult, LessonStarted } from '../../src/messages.ts'
import { find, findAll, isDisabled, setDisabled, setText } from './dom.ts'

const NAMES: Readonly<Record<LessonKind, string>> = { block: 'Blocking', wait: 'Waiting', worker: 'Working on another thread' }
const TICK_MS = 250

export class Lessons {
  readonly #buttons = findAll<HTMLButtonElement>('[data-lesson]')

  constructor () {
    for (const button of this.#buttons) {
      button.addEventListener('click', () => { if (!isDisabled(button)) press(button.dataset.lesson as LessonKind).catch(() => {}) })
    }
  }

  started ({ kind, ms }: LessonStarted): void {
    for (const button of this.#buttons) setDisabled(button, true)
    say(kind, `${NAMES[kind]} for ${ms} ms …`)
  }

  ended ({ kind, sentence }: LessonResult): void {
    this.reset()
    say(kind, sentence)
  }

  /** After a break nobody tells that a lesson has ended. */
  reset (): void {
    for (const button of this.#buttons) if (!button.dataset.refused) setDisabled(button, false)
  }
}

async function press (kind: LessonKind): Promise<void> {
  const ms = find<HTMLSelectElement>('#lesson-ms').value
  // What was measured comes to every viewer alike, and so to this one.
  const response = await fetch(`/api/lab/${kind}?ms=${ms}`, { method: 'POST' }).catch(() => undefined)
  if (!response) say(kind, 'The server did not answer.', true)
  else if (!response.ok) refused(kind, await response.json() as { message: string }, Number(response.headers.get('retry-after') ?? 0))
}

/** The button rests until it works again, and says when that is. */
function refused (kind: LessonKind, { message }: { message: string }, seconds: number): void {
  const button = find<HTMLButtonElement>(`[data-lesson="${kind}"]`)
  const until = Date.now() + seconds * 1000
  const reason = message.replace(/: try again in \d+ s$/, '')
  const label = button.textContent ?? ''
  button.dataset.refused = 'true'
  setDisabled(button, true)
  say(kind, `Refused: ${reason}. It works again at ${new Date(until).toLocaleTimeString()}.`, true)
  const tick = () => {
    const left = Math.ceil((until - Date.now()) / 1000)
    if (left > 0) {
      button.textContent = `${label} in ${left} s`
      return
    }
    clearInterval(timer)
    button.textContent = label
    setDisabled(button, false)
    delete button.dataset.refused
    say(kind, '')
  }
  const timer = setInterval(tick, TICK_MS)
  tick()
}

function say (kind: LessonKind, text: string, isRefusal = false): void {
  const said = find(`#said-${kind}`)
  said.classList.toggle('refused', isRefusal)
  setText(said, text)
}
