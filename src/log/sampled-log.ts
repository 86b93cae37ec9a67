/**
 * The log of what strangers do: so many lines about one address, and one a second about what an endpoint refuses or fails at. The others
 * are counted.
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
  /** Whether the level lets any of them be written. */
  readonly #isWritten: boolean
  #untold = 0
  /** Lines that were left out, since the start. */
  unlogged = 0

  /** @param rates how many lines about one address are written. */
  constructor (logger: FastifyBaseLogger, rates: Rates) {
    this.logger = logger
    this.#rates = rates
    this.#isWritten = (logger as Partial<Logger>).isLevelEnabled?.('info') ?? true
  }

  /**
   * Takes one of an address's lines, before it is put together. False where it has had its share: then it is counted as left out; and
   * where no such line is written.
   */
  admits (network: string): boolean {
    if (!this.#isWritten) return false
    if (this.#rates.take(network)) return true
    this.#untold++
    this.unlogged++
    return false
  }

  /** Writes a line about an address for which `admits` was true, with how many were left out since the last one. */
  line (logger: FastifyBaseLogger, fields: object, message: string): void {
    logger.info(this.#untold > 0 ? { ...fields, unlogged: this.#untold } : fields, message)
    this.#untold = 0
  }

  /** Writes one line about an endpoint at most once a second, with how many there would have been. */
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
