/** Turns the forms of a request's target (RFC 9112, section 3.2) into the one that routes know. */
import type { IncomingMessage } from 'node:http'

/** Replaces a URL that cannot be decoded: such a request would bypass every hook, also those for limits and the log. */
export const UNDECODABLE = '/%EF%BF%BD'

/** `http://host/path` → `/path` (absolute-form), `*` → `/` (asterisk-form, of OPTIONS). */
export function originForm (url: string): string {
  if (url.startsWith('/')) return url
  if (url === '*') return '/'
  const [, , rest] = ABSOLUTE.exec(url) ?? []
  if (rest === undefined) return url
  return rest.startsWith('/') ? rest : `/${rest}`
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)(.*)$/is

/** Fastify's `rewriteUrl`. The host of an absolute-form target replaces that of the Host header (RFC 9112, section 3.2.2). */
export function rewriteUrl ({ url = '/', headers }: Pick<IncomingMessage, 'url' | 'headers'>): string {
  const [, authority] = url.startsWith('/') ? [] : ABSOLUTE.exec(url) ?? []
  if (authority !== undefined && headers.host !== undefined) headers.host = authority
  const target = originForm(url)
  return isDecodable(target) ? target : UNDECODABLE
}

function isDecodable (url: string): boolean {
  if (!url.includes('%')) return true
  try {
    // The router decodes only the path.
    decodeURI(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}
