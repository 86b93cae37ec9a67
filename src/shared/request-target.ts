/** The forms in which a request may name its target (RFC 9112, section 3.2), and the one that routes know. */
import type { IncomingMessage } from 'node:http'

/** The target of a request whose URL cannot be decoded: it would go past every hook, the limits' and the log's among them. */
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
    // The router decodes no more than the path.
    decodeURI(url.split('?', 1)[0] ?? '')
    return true
  } catch {
    return false
  }
}
