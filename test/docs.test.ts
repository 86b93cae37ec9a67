/** What the README and docs/ promise: their transcripts are run, their tables compared. */
import { execFile, spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { FREE_PORTS, serverFor } from './support.ts'
import { buildApp } from '../src/app.ts'
import { loadConfig } from '../src/config/config.ts'
import { settings } from '../src/config/settings.ts'
import { limitsTable, settingsTable } from '../src/config/settings-table.ts'
import { createLogger } from '../src/log/logger.ts'
import { startTable } from '../src/commands/start-table.ts'

const ROOT = new URL('..', import.meta.url)
const read = (name: string) => readFileSync(new URL(name, ROOT), 'utf8')
const run = promisify(execFile)
const { NODE_OPTIONS: _tapsOwn, ...ENV } = process.env
const missing = ['nc', 'curl', 'python3', 'sh'].filter((tool) => spawnSync('which', [tool]).status !== 0)

interface Step { readonly command: string, readonly output: string }

/** The commands of every `console` block, each with the lines that follow it. */
function transcript (name: string): Step[] {
  const blocks = [...read(name).matchAll(/```console\n([\s\S]*?)```/g)].map(([, block = '']) => block)
  return blocks.flatMap((block) => block.split(/^\$ /m).slice(1).map((step) => {
    const [command = '', ...output] = step.split('\n')
    return { command, output: output.join('\n') }
  }))
}

/** Default ports become those of the server under test: in the command and in what is expected of it. */
function onFreePorts (text: string, defaults: ReadonlyMap<string, number>): string {
  return text.replace(/\b\d{4,5}\b/g, (port) => {
    const isUdp = /nc -u|oneloop udp|^Sent '/.test(text)
    return String(defaults.get(`${isUdp ? 'udp' : 'tcp'} ${port}`) ?? port)
  })
}

/** Times, durations, rates and column widths, which differ from run to run. */
function normal (text: string): string {
  return text
    .replace(/[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}/g, 'TIME')
    .replace(/^0000000 .*$/gm, 'TIME IN OCTAL')
    .replace(/in \d+\.\d+ s: [\d.]+ \w+\/s/g, 'RATE')
    .replace(/[\d.]+ ms$/gm, 'MS')
    .replace(/\r/g, '')
    .replace(/ +/g, ' ')
    .trimEnd()
}

for (const name of ['README.md', 'docs/protocols.md']) {
  t.test(`the transcripts of ${name}`, { skip: missing.length > 0 && `without ${missing.join(', ')}` }, async (t) => {
    const server = await serverFor(t, { PROFILE: 'bench' })
    const defaults = new Map<string, number>()
    const config = loadConfig()
    for (const [service, { ports }] of Object.entries(config.ports)) {
      const endpoints = server.app.endpoints.filter((one) => one.name === service)
      for (const [index, port] of ports.entries()) defaults.set(`${endpoints[index]?.transport === 'udp' ? 'udp' : 'tcp'} ${port}`, endpoints[index]?.port ?? 0)
    }
    // The clients read their ports from the same variables as the server.
    const env = Object.fromEntries(Object.entries(config.ports).map(([service, { variable }]) =>
      [variable, server.app.endpoints.filter((one) => one.name === service).map(({ port }) => port).join(',')]))
    const steps = transcript(name)
    t.ok(steps.length > 5)
    for (const { command, output } of steps) {
      const line = onFreePorts(command, defaults).replaceAll('npx oneloop', `'${process.execPath}' dist/cli.js`)
      const { stdout } = await run('sh', ['-c', line], { cwd: ROOT, env: { ...ENV, ...env } }).catch((error: { stdout: string, stderr: string }) => ({ stdout: error.stdout + error.stderr }))
      const expected = command.endsWith('check')
        ? output.split('\n').map((row) => onFreePorts(/ udp /.test(row) ? `Sent '${row}` : row, defaults).replace(/^Sent '/, '')).join('\n')
        : onFreePorts(output, defaults)
      t.equal(normal(stdout), normal(expected), command)
    }
  })
}

t.test('the start table of the README is the real one', async (t) => {
  const app = await buildApp(loadConfig(), createLogger('silent', false))
  t.teardown(() => app.close())
  // Built and not started: the default ports may be busy here.
  const own = { name: 'debian', addresses: ['127.0.1.1'] }
  for (const { location } of app.endpoints) Object.assign(location, { state: 'open', addresses: ['127.0.0.1', '::1', '127.0.0.4', '127.0.1.1'] })
  t.ok(read('README.md').includes(startTable(app.endpoints, own).trim()))
})

t.test('the tables of settings and of limits are the real ones', async (t) => {
  t.ok(read('docs/limits.md').includes(limitsTable()), 'docs/limits.md')
  t.ok(read('README.md').includes(settingsTable('others')), 'README.md')
})

t.test('every default, written out as a variable, is taken', async (t) => {
  t.doesNotThrow(() => loadConfig({ ...Object.fromEntries(Object.entries(settings).map(([name, { default: value }]) => [name, String(value)])), ...FREE_PORTS }))
})
