/** The logger: readable lines on a terminal, JSON lines everywhere else. */
import { pino, type Logger as PinoLogger } from 'pino'
import pretty from 'pino-pretty'

/** Lines that a slow reader of our output has not taken yet; beyond it lines are dropped, and the loop is never held up. */
const MAX_UNWRITTEN_CHARS = 4_194_304
/** How long the end of the process waits for a reader of its log: a little less than what a drain keeps for its end. */
const FLUSH_MS = 350

export type Logger = PinoLogger & {
  /** Gives up what is not written yet; to be called before an exit, which would wait for it. */
  close (): void
  /** Writes what is not written yet, as far as somebody reads it, and then closes. */
  flushAndClose (): Promise<void>
}

export function createLogger (level: string, isTerminal: boolean): Logger {
  if (isTerminal) {
    const logger = pino({ level }, pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss', singleLine: true }))
    return Object.assign(logger, { close () {}, async flushAndClose () {} })
  }
  // minLength 1 writes every line at once, as 0 does; but with 0 flush() waits for nothing.
  const destination = pino.destination({ dest: 1, sync: false, minLength: 1, maxLength: MAX_UNWRITTEN_CHARS })
  const close = () => destination.destroy()
  return Object.assign(pino({ level }, destination), {
    close,
    async flushAndClose () {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, FLUSH_MS)
        destination.flush(() => { clearTimeout(timer); resolve() })
      })
      close()
    }
  })
}
