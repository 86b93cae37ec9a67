/** The logger: readable lines on a terminal, JSON lines everywhere else. */
import { pino, type Logger as PinoLogger } from 'pino'
import { Output } from './output.ts'

export type Logger = PinoLogger & {
  /** Lines that could not be written, since the start. */
  readonly lostLines: number
  /** Writes what is not written yet, as far as somebody reads it. */
  flush (): Promise<void>
}

export async function createLogger (level: string, isTerminal: boolean): Promise<Logger> {
  const output = new Output(isTerminal)
  const format = isTerminal ? await prettyFormat() : undefined
  const logger = pino({ level }, { write: (line) => output.write(format ? format(line) : line) })
  return Object.defineProperties(logger, {
    lostLines: { get: () => output.lost },
    flush: { value: () => output.flush() }
  }) as Logger
}

/** Loaded for a terminal only. */
async function prettyFormat (): Promise<(line: string) => string> {
  const { prettyFactory } = await import('pino-pretty')
  return prettyFactory({ ignore: 'pid,hostname', translateTime: 'HH:MM:ss', singleLine: true, colorize: true })
}
