/** The page: describes the server, lists every service with lines to try it, and shows the live lab. */
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { formatAddress, reachable } from '../shared/address.ts'
import { compactBytes } from '../shared/bytes.ts'
import { settings } from '../config/settings.ts'
import { counts, facts } from '../lab/facts.ts'
import { lessonCode } from '../lab/lessons.ts'
import { LESSONS, PROTOCOLS, stateText } from '../shared/names.ts'
import { isOwnName, isSameHost } from '../traffic/origin.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { pasteLines, type PasteLine } from '../clients/paste-line.ts'
import { VERSION } from '../shared/version.ts'

/** How long a rendered page is reused for the same Host. */
const FRESH_MS = 100

export async function page (app: FastifyInstance): Promise<void> {
  const limits = limitsInWords(app.config.limits)
  let fresh: { readonly host: string, readonly until: number, readonly html: Promise<Buffer> } | undefined

  app.get('/', async (request, reply) => {
    const { host } = request
    const now = performance.now()
    if (fresh?.host !== host || now >= fresh.until) fresh = { host, until: now + FRESH_MS, html: render(request) }
    // The page shows live counters, so it must not come from a cache.
    return reply.header('cache-control', 'no-store').type('text/html; charset=utf-8').send(await fresh.html)
  })

  async function render (request: FastifyRequest): Promise<Buffer> {
    const rows = counts(app).map((row, index) => {
      const endpoint = app.endpoints[index] as Endpoint
      const host = hostFor(request, endpoint.address)
      return {
        ...row,
        transport: endpoint.transport,
        summary: endpoint.summary,
        variable: endpoint.location.origin.variable,
        stateText: stateText(row),
        where: row.port === null ? '' : `${formatAddress(host, row.port)}${endpoint.path ?? ''}`,
        lines: row.state === 'open' ? pasteLines(endpoint, host).sort(byLength) : []
      }
    })
    return Buffer.from(await app.view('page', {
      rows,
      limits,
      isLab: app.config.lab,
      unknownHost: unknownHost(request.host, app.config.origins),
      lessonCode,
      version: VERSION,
      process: { pid: process.pid, node: process.version, ...facts(app) },
      protocols: PROTOCOLS,
      lessons: LESSONS,
      bytes: compactBytes
    }))
  }
}

/** Sorts short lines first, and lines that work only in the package's folder last. */
function byLength (a: PasteLine, b: PasteLine): number {
  return Number(a.tool === 'oneloop') - Number(b.tool === 'oneloop') || a.line.length - b.line.length
}

/** The limits for people: name, readable value, meaning, and what crossing it does. */
function limitsInWords (values: Readonly<Record<string, number>>) {
  return Object.entries(values).map(([name, value]) => {
    const { description = '', crossed = '' } = settings[name] ?? {}
    return { name, value: inWords(name, value), description, crossed: crossed.replaceAll('`', '') }
  })
}

function inWords (name: string, value: number): string {
  if (name.endsWith('_MS')) return value % 1000 === 0 ? `${value / 1000} s` : `${value} ms`
  if (name.endsWith('_BYTES')) return compactBytes(value)
  return name.endsWith('_RATE') ? `${value} per second` : String(value)
}

/** The name by which the visitor reached this server, if pages of that origin may not watch it; see isAllowedOrigin. */
function unknownHost (host: string, origins: readonly string[]): string | undefined {
  if (!URL.canParse(`http://${host}`) || isOwnName(new URL(`http://${host}`).hostname)) return
  return origins.some((origin) => isSameHost(new URL(origin), host)) ? undefined : host
}

/** The name by which the visitor reached this server, if it listens on all addresses; otherwise its own address. */
function hostFor (request: FastifyRequest, bound: string): string {
  if (reachable(bound) === bound) return bound
  const name = request.hostname.replace(/^\[(.*)\]$/, '$1')
  // The visitor sends the Host header, and the line goes into a shell: allow only names and addresses.
  return /^[a-z0-9][a-z0-9.-]{0,252}$/i.test(name) || isIP(name) ? name : reachable(bound)
}
