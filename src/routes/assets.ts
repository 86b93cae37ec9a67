/** `/assets/`: the page's files, served from memory: an open file would cost a descriptor for as long as a slow client reads. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { extname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'

// The path is right from src/routes and dist/routes.
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
      // Revalidated with each page, so that a page and its script have the same version.
      const headers = { 'cache-control': 'public, max-age=0', etag }
      // One route for each file, so that 404 and 405 apply to files too.
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
