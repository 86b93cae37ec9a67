/** The logger of one request. It creates pino's child logger lazily: most requests never log. */
import type { FastifyBaseLogger } from 'fastify'

type Level = Exclude<keyof FastifyBaseLogger, 'level' | 'child'>
type Line = readonly unknown[]
type Bindings = Parameters<FastifyBaseLogger['child']>[0]
type Options = Parameters<FastifyBaseLogger['child']>[1]

export class RequestLog implements FastifyBaseLogger {
  readonly #make: () => FastifyBaseLogger
  #made: FastifyBaseLogger | undefined

  constructor (make: () => FastifyBaseLogger) {
    this.#make = make
  }

  get #logger (): FastifyBaseLogger {
    this.#made ??= this.#make()
    return this.#made
  }

  get level (): string { return this.#logger.level }
  set level (level: string) { this.#logger.level = level }

  trace (...line: Line): void { this.#write('trace', line) }
  debug (...line: Line): void { this.#write('debug', line) }
  info (...line: Line): void { this.#write('info', line) }
  warn (...line: Line): void { this.#write('warn', line) }
  error (...line: Line): void { this.#write('error', line) }
  fatal (...line: Line): void { this.#write('fatal', line) }
  silent (...line: Line): void { this.#write('silent', line) }

  child (bindings: Bindings, options?: Options): FastifyBaseLogger {
    return this.#logger.child(bindings, options)
  }

  #write (level: Level, line: Line): void {
    Reflect.apply(this.#logger[level], this.#logger, line)
  }
}
