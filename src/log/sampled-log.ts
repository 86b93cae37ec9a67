/**
 * Limits the log lines that clients cause: LOG_RATE for each address, and one line a second for each endpoint's refusals and failures.
 * The other lines are counted.
 */
import type { FastifyBaseLogger } from 'fastify'
import type { Logger } from 'pino'
import type { Endpoint } from '../traffic/endpoint.ts'
import type { Rates } from '../traffic/rates.ts'

const TROUBLE_MS = 1000

export class SampledLog {
  readonly logger: FastifyBaseLogger
  readonly #rates: Rates
  readonly #troubles = new Map<string, { loggedAt: number, untold: number }>()
  /** Whether the log level includes these lines. */
  readonly #isWritten: boolean
  #untold = 0
  /** Lines left out since the start. */
  unlogged = 0

  /** @param rates limits the lines about each address. */
  constructor (logger: FastifyBaseLogger, rates: Rates) {
    this.logger = logger
    this.#rates = rates
    this.#isWritten = (logger as Partial<Logger>).isLevelEnabled?.('info') ?? true
  }

  /**
   * Asks for a line about an address, before the line is put together. False if the address has used up its share, in which case the
   * line counts as left out, or if the log level excludes it.
   */
  admits (network: string): boolean {
    if (!this.#isWritten) return false
    if (this.#rates.take(network)) return true
    this.#untold++
    this.unlogged++
    return false
  }

  /** Writes a line that `admits` allowed, with the number of lines left out since the last one. */
  line (logger: FastifyBaseLogger, fields: object, message: string): void {
    logger.info(this.#untold > 0 ? { ...fields, unlogged: this.#untold } : fields, message)
    this.#untold = 0
  }

  /** Writes at most one line a second about an endpoint, with the number of events it stands for. */
  trouble (level: 'warn' | 'error', endpoint: Endpoint, fields: object, message: string): void {
    const key = `${endpoint.name} ${endpoint.port} ${level}`
    const seen = this.#troubles.get(key) ?? { loggedAt: -Infinity, untold: 0 }
    this.#troubles.set(key, seen)
    seen.untold++
    const now = performance.now()
    if (now - seen.loggedAt < TROUBLE_MS) return
    this.logger[level]({ service: endpoint.name, ...fields, count: seen.untold }, message)
    seen.loggedAt = now
    seen.untold = 0
  }
}
