/** The logger: lines in words on a terminal, JSON lines everywhere else. */
import { pino, type Logger as PinoLogger } from 'pino'
import { Output } from './output.ts'
import { words } from './words.ts'

export type Logger = PinoLogger & {
  /** Lines that could not be written, since the start. */
  readonly lostLines: number
  /** Writes the buffered lines, if somebody reads them. */
  flush (): Promise<void>
}

export function createLogger (level: string, isTerminal: boolean): Logger {
  const output = new Output(isTerminal)
  const logger = pino({ level }, { write: (line) => output.write(isTerminal ? words(line) : line) })
  return Object.defineProperties(logger, {
    lostLines: { get: () => output.lost },
    flush: { value: () => output.flush() }
  }) as Logger
}
