/** Decides which pages may use the feed and the lab: this server's own, and those of ORIGINS. */
import type { IncomingHttpHeaders } from 'node:http'
import { isIP } from 'node:net'
import { hostname } from 'node:os'

/**
 * Also true for clients other than browsers: they send neither Origin (RFC 6454, section 7.3) nor Sec-Fetch-Site.
 * The browser sets `Sec-Fetch-Site` (Fetch Metadata), and a proxy that changes Host leaves it alone.
 */
export function isAllowedOrigin ({ origin, host, 'sec-fetch-site': site }: IncomingHttpHeaders, allowed: readonly string[]): boolean {
  if (origin === undefined) return site !== 'cross-site' && site !== 'same-site'
  if (allowed.includes(origin)) return true
  if (!URL.canParse(origin)) return false
  const url = new URL(origin)
  return isOwnName(url.hostname) && (site === 'same-origin' || isSameHost(url, host))
}

/** Compares hosts. An origin leaves out the default port of its scheme (RFC 6454, section 6.2); Host may include it. */
export function isSameHost ({ protocol, host: own }: URL, host = ''): boolean {
  const url = `${protocol}//${host}`
  return URL.canParse(url) && new URL(url).host === own
}

/**
 * Whether a name can only mean this server. The owner of any other name can point it at this server, and to the browser the
 * owner's page then has the same origin (DNS rebinding).
 */
export function isOwnName (name: string): boolean {
  return isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0 || name === 'localhost' || name.endsWith('.localhost') || name === hostname().toLowerCase()
}

export class OriginError extends Error {
  readonly statusCode = 403
  readonly code = 'ERR_ORIGIN'

  constructor (origin = 'another site') {
    super(`only the server's own page, reached by an address, and pages from ORIGINS may use this; not a page from ${JSON.stringify(origin.slice(0, 100))}`)
  }
}
