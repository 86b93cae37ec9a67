/** A request crossed a limit. The code is `ERR_` and the limit's name. */
export class LimitError extends Error {
  readonly code: string
  readonly limit: string
  readonly statusCode: number
  /** Milliseconds until a retry makes sense, for an answer with `Retry-After`. */
  readonly retryMs: number | undefined

  constructor (statusCode: number, limit: string, message: string, retryMs?: number) {
    super(retryMs === undefined ? `${message} (${limit})` : `${message} (${limit}): try again in ${Math.ceil(retryMs / 1000)} s`)
    this.name = 'LimitError'
    this.code = `ERR_${limit}`
    this.limit = limit
    this.statusCode = statusCode
    this.retryMs = retryMs
  }
}
