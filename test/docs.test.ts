/** The documentation, the image and compose.yaml list every service and every setting correctly. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import t from 'tap'
import { documents } from '../scripts/tables.ts'
import { loadConfig } from '../src/config/config.ts'
import { portVariable, settings } from '../src/config/settings.ts'
import { wsEcho } from '../src/routes/ws-echo.ts'
import { WS_FEED } from '../src/routes/ws-feed.ts'
import { WS_LOOP } from '../src/routes/ws-loop.ts'
import { wsTime } from '../src/routes/ws-time.ts'
import { rawServices } from '../src/sockets/index.ts'
import { FREE_PORTS, ROOT, serverFor } from './support.ts'

const read = (name: string) => readFileSync(new URL(name, ROOT), 'utf8')
t.test('default ports and names are unique', async (t) => {
  const ports = [...rawServices.flatMap(({ transport, ports }) => ports.map((port) => `${transport} ${port}`)), 'tcp 5001']
  t.same(ports, [...new Set(ports)])
  const names = [...rawServices, wsEcho, wsTime(), WS_FEED, WS_LOOP].map(({ name }) => name)
  t.same(names, [...new Set(names)])
})

t.test('every raw service has a setting, and nothing else has a port', async (t) => {
  const variables = Object.keys(settings).filter((name) => name.endsWith('_PORT'))
  t.same(variables.sort(), ['HTTP_PORT', ...rawServices.map(({ name }) => portVariable(name))].sort())
})

t.test('every endpoint is in the API, on the page and in docs/protocols.md', async (t) => {
  const { app } = await serverFor(t)
  const rows = (await app.inject('/api/services')).json() as { name: string, port: number }[]
  const page = (await app.inject('/')).body
  const protocols = read('docs/protocols.md')
  for (const { name, transport, port, path } of app.endpoints) {
    t.ok(rows.some((row) => row.name === name && row.port === port), `${name} is in the API`)
    t.match(page, new RegExp(`<b class="protocol ${transport}">${name}</b>[^]*?<span class="address">127\\.0\\.0\\.1:${port}${path ?? ''}</span> <span class="state open">open</span>`))
    t.ok(protocols.includes(`## ${name}\n`), `${name} has a section in docs/protocols.md`)
  }
  t.equal(rows.length, app.endpoints.length)
})

t.test('every service has an example: something to send, or an answer to expect, or both', async (t) => {
  for (const { name, example } of [...rawServices, wsEcho, wsTime(), WS_FEED, WS_LOOP]) t.ok(example.answer ?? example.send, name)
})

t.test('every port is exposed by the image and published by compose.yaml', async (t) => {
  const dockerfile = read('Dockerfile')
  const compose = read('compose.yaml')
  for (const { name, transport, ports } of [{ name: 'http', transport: 'tcp', ports: [5001] }, ...rawServices]) {
    for (const port of ports) {
      t.match(dockerfile, new RegExp(`^EXPOSE .*\\b${port}${transport === 'udp' ? '/udp' : '(?!/udp)'}\\b`, 'm'), `${name} is exposed`)
      t.match(compose, new RegExp(`"${port}:${port}${transport === 'udp' ? '/udp' : '(/tcp)?'}"`), `${name} is published`)
    }
  }
})

t.test('the tables of the documentation match the code', async (t) => {
  for (const { file, before, after } of await documents()) t.equal(before, after, `${file}: \`npx tsx scripts/tables.ts\` writes its table`)
})

t.test('every link in the documentation leads to a file, and to a heading in it', async (t) => {
  const anchors = (text: string) => [...text.matchAll(/^#+ (.*)$/gm)].map(([, title = '']) => title.toLowerCase().replace(/[^\w -]/g, '').replaceAll(' ', '-'))
  const files = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'SECURITY.md', 'bench/README.md', ...readdirSync(new URL('docs', ROOT)).filter((name) => name.endsWith('.md')).map((name) => `docs/${name}`)]
  for (const file of files) {
    for (const [, path = '', anchor] of read(file).matchAll(/\]\((?!https?:)([^)#]*)#?([^)]*)\)/g)) {
      const target = path === '' ? new URL(file, ROOT) : new URL(path, new URL(file, ROOT))
      t.ok(existsSync(target), `${file} → ${path}`)
      if (anchor) t.ok(anchors(readFileSync(target, 'utf8')).includes(anchor), `${file} → ${path}#${anchor}`)
    }
  }
})

t.test('every default is valid as a variable', async (t) => {
  t.doesNotThrow(() => loadConfig({ ...Object.fromEntries(Object.entries(settings).map(([name, { default: value }]) => [name, String(value)])), ...FREE_PORTS }))
})
