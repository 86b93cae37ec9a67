/** The logger: readable lines on a terminal, JSON lines everywhere else. */
import { pino, type Logger as PinoLogger } from 'pino'
import { prettyFactory } from 'pino-pretty'
import { Output } from './output.ts'

export type Logger = PinoLogger & {
  /** Lines that could not be written, since the start. */
  readonly lostLines: number
  /** Writes what is not written yet, as far as somebody reads it. */
  flush (): Promise<void>
}

export function createLogger (level: string, isTerminal: boolean): Logger {
  const output = new Output(isTerminal)
  const format = isTerminal ? prettyFactory({ ignore: 'pid,hostname', translateTime: 'HH:MM:ss', singleLine: true, colorize: true }) : undefined
  const logger = pino({ level }, { write: (line) => output.write(format ? format(line) : line) })
  return Object.defineProperties(logger, {
    lostLines: { get: () => output.lost },
    flush: { value: () => output.flush() }
  }) as Logger
}
