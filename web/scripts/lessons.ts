/** Block, Wait, Worker: the buttons, and what was measured. */
import type { LessonKind, LessonResult, LessonStarted } from '../../src/shared/messages.ts'
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
    this.idle()
    say(kind, sentence)
  }

  /** No lesson runs, whether or not its end was heard. */
  idle (): void {
    for (const button of this.#buttons) {
      if (button.dataset.rests) continue
      setDisabled(button, false)
      const said = find(`#said-${button.dataset.lesson}`)
      if (said.textContent?.endsWith('…')) setText(said, '')
    }
  }
}

async function press (kind: LessonKind): Promise<void> {
  const button = find<HTMLButtonElement>(`[data-lesson="${kind}"]`)
  const ms = find<HTMLSelectElement>('#lesson-ms').value
  // One press is one lesson, however fast the next.
  setDisabled(button, true)
  button.dataset.rests = 'true'
  // What was measured comes to every viewer alike, and so to this one.
  const response = await fetch(`/api/lab/${kind}?ms=${ms}`, { method: 'POST' }).catch(() => undefined)
  const seconds = response?.ok ? 0 : Number(response?.headers.get('retry-after') ?? 0)
  if (!response) say(kind, 'The server did not answer.', true)
  else if (!response.ok) say(kind, await reasonOf(response, seconds), true)
  if (seconds > 0) await rest(button, seconds)
  delete button.dataset.rests
  setDisabled(button, false)
  if (seconds > 0) say(kind, '')
}

async function reasonOf (response: Response, seconds: number): Promise<string> {
  const { message } = await response.json().catch(() => ({ message: `the server answered ${response.status}` })) as { message: string }
  const when = seconds > 0 ? ` It works again at ${new Date(Date.now() + seconds * 1000).toLocaleTimeString()}.` : ''
  return `Refused: ${message.replace(/: try again in \d+ s$/, '')}.${when}`
}

/** Counts down on the button. */
async function rest (button: HTMLButtonElement, seconds: number): Promise<void> {
  const label = button.textContent ?? ''
  const until = Date.now() + seconds * 1000
  for (let left = seconds; left > 0; left = Math.ceil((until - Date.now()) / 1000)) {
    setText(button, `${label} in ${left} s`)
    await new Promise((resolve) => { setTimeout(resolve, TICK_MS) })
  }
  setText(button, label)
}

function say (kind: LessonKind, text: string, isRefusal = false): void {
  const said = find(`#said-${kind}`)
  said.classList.toggle('refused', isRefusal)
  setText(said, text)
}
