/** The transcripts of the README and of docs/protocols.md, run by a shell and compared; and the README's Python client. */
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import t from 'tap'
import { loadConfig } from '../../src/config/config.ts'
import { ENV, ROOT, serverFor, without } from '../support.ts'

const run = promisify(execFile)
const skip = without('nc', 'curl', 'python3')

interface Step { readonly command: string, readonly output: string }

/** The commands of every `console` block, each with the lines that follow it. */
function transcript (name: string): Step[] {
  const blocks = [...readFileSync(new URL(name, ROOT), 'utf8').matchAll(/```console\n([\s\S]*?)```/g)].map(([, block = '']) => block)
  return blocks.flatMap((block) => block.split(/^\$ /m).slice(1).map((step) => {
    const [command = '', ...output] = step.split('\n')
    return { command, output: output.join('\n') }
  }))
}

/** Replaces default ports by those of the server under test, in the command and in its expected output. */
function onFreePorts (text: string, defaults: ReadonlyMap<string, number>): string {
  return text.replace(/\b\d{4,5}\b/g, (port) => {
    const isUdp = /nc -u|oneloop udp|^Sent '/.test(text)
    return String(defaults.get(`${isUdp ? 'udp' : 'tcp'} ${port}`) ?? port)
  })
}

/** Masks times, durations, rates and column widths, which differ from run to run. */
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
  t.test(`the transcripts of ${name}`, { skip }, async (t) => {
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
    t.ok(steps.length >= 5)
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

t.test('the Python client of the README prints what the README says', { skip: without('python3') }, async (t) => {
  const server = await serverFor(t)
  const [, program = '', said = ''] = /```python\n([\s\S]*?)```\n\nIt prints `([^`]+)`/.exec(readFileSync(new URL('README.md', ROOT), 'utf8')) ?? []
  const { stdout } = await run('python3', ['-c', onFreePorts(program, new Map([['tcp 12345', server.target('echo').port]]))])
  t.equal(stdout, `${said}\n`)
})
