/** Whether a request comes from this server's own page: what a page may watch and press is not for other sites' pages. */
import type { IncomingHttpHeaders } from 'node:http'

/**
 * True for clients that are no browser, too: these send no Origin (RFC 6454, section 7.3).
 * `Sec-Fetch-Site` is the browser's own word (Fetch Metadata), which a proxy that changes Host leaves as it is.
 */
export function isOwnOrigin ({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders): boolean {
  return origin === undefined || site === 'same-origin' || (URL.canParse(origin) && new URL(origin).host === host)
}

export class OriginError extends Error {
  readonly statusCode = 403
  readonly code = 'ERR_ORIGIN'

  constructor (origin = '') {
    super(`this is for the server's own page alone, not for one of ${JSON.stringify(origin.slice(0, 100))}`)
  }
}
