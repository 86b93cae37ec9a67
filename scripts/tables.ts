/**
 * Generates the tables of the documentation from the code. Each table stands between a comment with its name and `<!-- end -->`.
 *
 *   npx tsx scripts/tables.ts    writes the tables
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/config.ts'
import { limitsTable, settingsTable } from '../src/config/settings-table.ts'
import { createLogger } from '../src/log/logger.ts'

const TRANSPORTS = { http: 'HTTP', websocket: 'WebSocket', tcp: 'TCP', udp: 'UDP' }

/** Every service with its default ports. */
async function servicesTable (): Promise<string> {
  const app = await buildApp(loadConfig(), await createLogger('silent', false))
  const ports = (service: string) => app.endpoints.filter(({ name }) => name === service).map(({ port }) => port).join(', ')
  const rows = app.endpoints.map(({ name, transport, summary, path }) =>
    `| \`${name}\` | ${TRANSPORTS[transport]} | ${ports(name)}${path ? ` \`${path}\`` : ''} | ${summary} |`)
  await app.close()
  return ['| Name | Protocol | Default ports | What it does |', '| --- | --- | --- | --- |', ...new Set(rows)].join('\n')
}

const TABLES = [
  { file: 'README.md', name: 'services', make: servicesTable },
  { file: 'docs/settings.md', name: 'settings', make: settingsTable },
  { file: 'docs/limits.md', name: 'limits', make: limitsTable }
] as const

/** Each document as it is, and with its table generated again. */
export async function documents (): Promise<{ file: string, before: string, after: string }[]> {
  return Promise.all(TABLES.map(async ({ file, name, make }) => {
    const before = readFileSync(new URL(`../${file}`, import.meta.url), 'utf8')
    const begin = `<!-- table: ${name} -->\n`
    const [head, rest] = before.split(begin)
    const end = rest?.indexOf('<!-- end -->') ?? -1
    if (rest === undefined || end < 0) throw new Error(`${file} needs the lines ${begin.trim()} and <!-- end -->, for its table`)
    return { file, before, after: `${head}${begin}\n${await make()}\n\n${rest.slice(end)}` }
  }))
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { file, before, after } of await documents()) if (after !== before) writeFileSync(new URL(`../${file}`, import.meta.url), after)
}
