/** Whose pages may watch the feed and press the lab's buttons: this server's own, and those that ORIGINS names. */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { hostname } from 'node:os'

/**
 * True for clients that are no browser, too: these send neither Origin (RFC 6454, section 7.3) nor Sec-Fetch-Site.
 * `Sec-Fetch-Site` is the browser's own word (Fetch Metadata), which a proxy that changes Host leaves as it is.
 */
export function isAllowedOrigin ({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  if (origin === undefined) return site !== 'cross-site' && site !== 'same-site'
  if (allowed.includes(origin)) return true
  if (!URL.canParse(origin)) return false
  const url = new URL(origin)
  return isOwnName(url.hostname) && (site === 'same-origin' || isSameHost(url, host))
}

/** An origin leaves its scheme's default port out (RFC 6454, section 6.2); Host may name it. */
export function isSameHost ({ protocol, host: own }: URL, host = ''): boolean {
  const url = `${protocol}//${host}`
  return URL.canParse(url) && new URL(url).host === own
}

/**
 * Whether only this server can be meant. Any other name may be pointed at this server by a stranger who owns it, whose page
 * then is of one origin with it (DNS rebinding).
 */
export function isOwnName (name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || name === 'localhost' || name.endsWith('.localhost') || name === hostname().toLowerCase()
}

export class OriginError extends Error {
  readonly statusCode = 403
  readonly code = 'ERR_ORIGIN'

  constructor (origin = 'another site') {
    super(`this is for the server's own page, reached by an address, and for those of ORIGINS; not for one of ${JSON.stringify(origin.slice(0, 100))}`)
  }
}
