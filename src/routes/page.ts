/** The page: what this server is, every service with lines to try it, and the live lab. */
import { isIP } from 'node:net'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { formatAddress, reachable } from '../shared/address.ts'
import { compactBytes } from '../shared/bytes.ts'
import { facts } from '../lab/facts.ts'
import { lessonCode } from '../lab/lessons.ts'
import { LESSONS, PROTOCOLS, stateText } from '../shared/names.ts'
import { isOwnName } from '../traffic/origin.ts'
import { pasteLines } from '../clients/paste-line.ts'
import { VERSION } from '../shared/version.ts'

/** How long everybody who comes by the same name gets the same page: it takes a third of a millisecond, and more at first. */
const FRESH_MS = 100

export async function page (app: FastifyInstance): Promise<void> {
  let fresh: { readonly host: string, readonly until: number, readonly html: Promise<Buffer> } | undefined

  app.get('/', async (request, reply) => {
    const { host } = request
    const now = performance.now()
    if (fresh?.host !== host || now >= fresh.until) fresh = { host, until: now + FRESH_MS, html: render(request) }
    // What a second look would show differently must not come from a cache.
    return reply.header('cache-control', 'no-store').type('text/html; charset=utf-8').send(await fresh.html)
  })

  async function render (request: FastifyRequest): Promise<Buffer> {
    const rows = app.endpoints.map((endpoint) => {
      const host = hostFor(request, endpoint.address)
      return {
        endpoint,
        state: stateText({ state: endpoint.state, hadAt: endpoint.location.hadAt }),
        where: endpoint.port === null ? '–' : `${formatAddress(host, endpoint.port)}${endpoint.path ?? ''}`,
        lines: endpoint.state === 'open' ? pasteLines(endpoint, host) : []
      }
    })
    return Buffer.from(await app.view('page', {
      rows,
      isLab: app.config.lab,
      unknownHost: unknownHost(request.host, app.config.origins),
      lessonCode,
      version: VERSION,
      process: { pid: process.pid, node: process.version, ...facts(app.endpoints) },
      protocols: PROTOCOLS,
      lessons: LESSONS,
      bytes: compactBytes
    }))
  }
}

/** The name that the visitor reached this server by, where pages of that origin may not watch it; see isAllowedOrigin. */
function unknownHost (host: string, origins: readonly string[]): string | undefined {
  if (!URL.canParse(`http://${host}`) || isOwnName(new URL(`http://${host}`).hostname)) return
  return origins.some((origin) => new URL(origin).host === host.toLowerCase()) ? undefined : host
}

/** The name the visitor reached this server by, where the server listens on all addresses; else the one it listens on. */
function hostFor (request: FastifyRequest, bound: string): string {
  if (reachable(bound) === bound) return bound
  const name = request.hostname.replace(/^\[(.*)\]$/, '$1')
  // The Host header is the visitor's own text, and the line goes into a shell: names and addresses only.
  return /^[a-z0-9][a-z0-9.-]{0,252}$/i.test(name) || isIP(name) ? name : reachable(bound)
}
