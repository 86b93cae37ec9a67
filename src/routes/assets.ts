/** `/assets/`: the page's files, from memory. A file that is opened for each request costs a descriptor for as long as a slow reader likes. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'

// From src/routes and from dist/routes alike.
const FOLDERS = ['web/assets', 'dist/web'].map((folder) => fileURLToPath(new URL(`../../${folder}/`, import.meta.url)))
const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml'
}

export async function assets (app: FastifyInstance): Promise<void> {
  for (const folder of FOLDERS) {
    for (const name of readdirSync(folder)) {
      const type = TYPES[extname(name)]
      if (type === undefined) continue
      const bytes = readFileSync(`${folder}${name}`)
      const etag = `"${createHash('sha256').update(bytes).digest('base64url')}"`
      // Asked for again with each page: a page and its script are of one version.
      const headers = { 'cache-control': 'public, max-age=0', etag }
      // Each file is a route of its own, so that 404 and 405 hold for files too.
      app.get(`/assets/${name}`, (request, reply) => {
        reply.headers(headers)
        if (hasTag(request.headers['if-none-match'], etag)) reply.code(304).send()
        else reply.type(type).send(bytes)
      })
    }
  }
}

/** Whether If-None-Match names this entity tag: alone, in a list, or by `*`; a weak one, `W/"…"`, counts as well (RFC 9110, 13.1.2). */
function hasTag (header: string | undefined, etag: string): boolean {
  return header === '*' || (header?.match(/"[^"]*"/g)?.includes(etag) ?? false)
}
