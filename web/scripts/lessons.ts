/** Block, Wait, Worker: the buttons, the code of the pressed one, and what was measured. */
import type { LessonKind, LessonResult, LessonStarted } from '../../src/shared/messages.ts'
import { LESSONS } from '../../src/shared/names.ts'
import { find, findAll, isDisabled, make, setDisabled, setText } from './dom.ts'
import { DELAY_MS } from './stage.ts'

const TICK_MS = 250
/** `HTTP 503 ms`: each protocol's in its colour. */
const MEASURED = /\b(HTTP|WebSocket|TCP|UDP) (?:\d+ ms|got no answer)|(?<=longer than )\d+ ms/g

export class Lessons {
  readonly #buttons = findAll<HTMLButtonElement>('[data-lesson]')
  readonly #learned = new Set<LessonKind>()
  /** Buttons that were pressed, or refused and not ready again. */
  readonly #resting = new Set<HTMLButtonElement>()
  #running: LessonStarted | undefined
  /** Concludes a lesson that has ended, once the stage shows its end. */
  #conclude: (() => void) | undefined

  constructor () {
    for (const button of this.#buttons) {
      button.addEventListener('click', () => {
        if (isDisabled(button)) return
        showCode(button.dataset.lesson as LessonKind)
        this.#press(button).catch(() => {})
      })
    }
  }

  started (lesson: LessonStarted): void {
    const { kind, ms, at } = lesson
    if (at === this.#running?.at) return
    this.#conclude?.()
    this.#running = lesson
    this.#update()
    showCode(kind)
    say([`${LESSONS[kind]} runs for ${ms} ms …`])
  }

  ended ({ kind, sentence }: LessonResult): void {
    const conclude = () => {
      clearTimeout(timer)
      this.#conclude = undefined
      this.idle()
      say(coloured(sentence))
      this.#learned.add(kind)
      // The accent invites to what the visitor has not seen yet.
      const next = this.#buttons.find(({ dataset }) => !this.#learned.has(dataset.lesson as LessonKind))
      for (const button of this.#buttons) button.classList.toggle('invite', button === next)
    }
    const timer = setTimeout(conclude, DELAY_MS)
    this.#conclude = conclude
  }

  /** No lesson runs, whether or not its end was heard. */
  idle (): void {
    if (this.#buttons.length === 0 || this.#conclude) return
    this.#running = undefined
    this.#update()
    if (find('#said').textContent?.endsWith('…')) say([])
  }

  #update (): void {
    for (const button of this.#buttons) {
      setDisabled(button, this.#running !== undefined || this.#resting.has(button))
      button.classList.toggle('running', button.dataset.lesson === this.#running?.kind)
    }
  }

  async #press (button: HTMLButtonElement): Promise<void> {
    const ms = find<HTMLSelectElement>('#lesson-ms').value
    // One press is one lesson, however fast the next.
    this.#resting.add(button)
    this.#update()
    // What was measured comes to every viewer alike, and so to this one.
    const response = await fetch(`api/lab/${button.dataset.lesson}?ms=${ms}`, { method: 'POST' }).catch(() => undefined)
    const seconds = response?.ok ? 0 : Number(response?.headers.get('retry-after') ?? 0)
    if (!response) say(['The server did not answer.'], true)
    else if (!response.ok) say([await reasonOf(response, seconds)], true)
    if (seconds > 0) await rest(button, seconds)
    this.#resting.delete(button)
    this.#update()
    if (seconds > 0 && find('#said').classList.contains('refused')) say([])
  }
}

function showCode (kind: LessonKind): void {
  for (const code of findAll('[data-code]')) code.hidden = code.dataset.code !== kind
}

async function reasonOf (response: Response, seconds: number): Promise<string> {
  const { message } = await response.json().catch(() => ({ message: `the server answered ${response.status}` })) as { message: string }
  const when = seconds > 0 ? ` It works again at ${new Date(Date.now() + seconds * 1000).toLocaleTimeString()}.` : ''
  return `Refused: ${message.replace(/: try again in \d+ s$/, '')}.${when}`
}

/** Counts down on the button, which keeps its width. */
async function rest (button: HTMLButtonElement, seconds: number): Promise<void> {
  const label = button.textContent ?? ''
  button.ariaLabel = label
  const until = Date.now() + seconds * 1000
  for (let left = seconds; left > 0; left = Math.ceil((until - Date.now()) / 1000)) {
    setText(button, `in ${left} s`)
    await new Promise((resolve) => { setTimeout(resolve, TICK_MS) })
  }
  setText(button, label)
  button.ariaLabel = null
}

function say (words: (Node | string)[], isRefusal = false): void {
  const said = find('#said')
  said.classList.toggle('refused', isRefusal)
  said.replaceChildren(...words)
}

function coloured (sentence: string): (Node | string)[] {
  const parts: (Node | string)[] = []
  let last = 0
  for (const { 0: text, 1: protocol, index } of sentence.matchAll(MEASURED)) {
    parts.push(sentence.slice(last, index), make('b', protocol?.toLowerCase(), text))
    last = index + text.length
  }
  return [...parts, sentence.slice(last)]
}
