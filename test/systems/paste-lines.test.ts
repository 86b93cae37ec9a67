/** The lines to paste, run by a shell. */
import { execFile } from 'node:child_process'
import { networkInterfaces } from 'node:os'
import { promisify } from 'node:util'
import fc from 'fast-check'
import t, { type Test } from 'tap'
import type { Endpoint } from '../../src/traffic/endpoint.ts'
import { pasteLines, pythonClient, type PasteLine } from '../../src/clients/paste-line.ts'
import { ROOT, serverFor, TIMEOUT_MS, until, without } from '../support.ts'

const AT_ONCE = 6
const skip = without('curl', 'nc', 'python3')
const hasIPv6 = Object.values(networkInterfaces()).flat().some((one) => one?.address === '::1')
const run = promisify(execFile)

/** The output of a line, which must end by itself with 0. Its standard input stays open, as on a terminal. */
async function output (t: Test, line: string): Promise<string> {
  const here = line.replace('npx oneloop', `'${process.execPath}' dist/cli.js`).replace(/^node /, `'${process.execPath}' `)
  try {
    // Unset in the shell, because tap sets it for every process that a test starts.
    return (await run('sh', ['-c', `unset NODE_OPTIONS; ${here}`], { cwd: ROOT, timeout: TIMEOUT_MS })).stdout
  } catch (error) {
    t.fail((error as Error).message)
    return ''
  }
}

/** The lines of a service, one for each tool. */
function linesFor (t: Test, endpoint: Endpoint, host: string, send = endpoint.example.send): PasteLine[] {
  const { name, transport, path, port, example: { answer } } = endpoint
  const lines = pasteLines({ name, transport, path, port, example: { ...(send !== undefined && { send }), ...(answer && { answer }) } }, host)
  t.same(lines.map(({ tool }) => tool), [...(transport === 'http' ? ['curl'] : []), 'nc', 'Python', 'Node', 'oneloop'], name)
  return [...lines]
}

/** nc and Node.js show the exact bytes of an answer over TCP; the other tools change them. */
function expected ({ transport, example: { send = '', answer } }: Endpoint, tool: PasteLine['tool']): RegExp[] {
  const part = new RegExp((answer?.source ?? '').replace(/^\^|\$$/g, '').replaceAll('\\r\\n', '\\s+'))
  if (transport === 'http' && tool === 'oneloop') return [/^ {2}udp-echo .* ok .*$/m]
  if (transport === 'websocket' && (tool === 'nc' || tool === 'Python')) return [/^HTTP\/1\.1 101 Switching Protocols\r\n/, part]
  if (!answer) return [tool === 'oneloop' ? new RegExp(`^Sent '${send}' to `) : /^$/]
  return [transport === 'tcp' && (tool === 'nc' || tool === 'Node') ? answer : part]
}

/** Runs all tasks, a few at once. */
async function all<T> (queue: T[], task: (one: T) => Promise<void>): Promise<void> {
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (let next = queue.shift(); next; next = queue.shift()) await task(next)
  }))
}

/** Every service at one address, and one service of each protocol at the others: their lines differ only in the address. */
const places: [bound: string, host: string, services?: string[]][] = [
  ['127.0.0.1', '127.0.0.1'],
  ['127.0.0.1', 'localhost', ['http', 'ws-time', 'greeting', 'udp-echo']],
  ['::1', '::1', ['http', 'ws-echo', 'echo', 'listener']]
]

for (const [bound, host, services] of places) {
  t.test(`the lines for ${host}`, { skip: skip || (bound === '::1' && !hasIPv6 && 'without IPv6') }, async (t) => {
    const { app, endpoint } = await serverFor(t, { HOST: bound, LOG_LEVEL: 'silent', PROFILE: 'bench' })
    const endpoints = app.endpoints.filter(({ name }) => services?.includes(name) ?? true)
    const lines = endpoints.flatMap((endpoint) => linesFor(t, endpoint, host).map((line) => ({ endpoint, ...line })))
    // `oneloop check` asks every service, including the listener.
    const datagrams = lines.filter(({ endpoint: { name }, line }) => name === 'listener' || line.includes('oneloop check')).length
    await all(lines, async ({ endpoint, tool, line }) => {
      const shown = await output(t, line)
      for (const pattern of expected(endpoint, tool)) t.match(shown, pattern, line)
    })
    await until(() => endpoint('listener').total >= datagrams, 'every tool reaches the listener')
    t.equal(endpoint('listener').total, datagrams)
  })
}

t.test('the client that the start shows prints the answer', { skip }, async (t) => {
  const { endpoint } = await serverFor(t, { LOG_LEVEL: 'silent' })
  t.equal(await output(t, pythonClient(endpoint('echo'), '127.0.0.1')), "b'Hello, world'\n")
})

t.test('any text goes through the shell and each language as it is', { skip }, async (t) => {
  const { endpoint } = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  /** Python escapes some bytes of the frames it shows, so texts are compared without backslashes. */
  const plain = (text: string) => text.replaceAll('\\', '')
  const comesBack = async (services: string[], text: string, without?: PasteLine['tool']) => {
    const lines = services.flatMap((name) => linesFor(t, endpoint(name), '127.0.0.1', text).map((line) => ({ name, ...line })))
    await all(lines.filter(({ tool }) => tool !== without), async ({ name, tool, line }) => {
      const shown = await output(t, line)
      if (name === 'ws-echo' && (tool === 'nc' || tool === 'Python')) t.ok(plain(shown).includes(plain(text)), line)
      else t.equal(shown.replace(/\n$/, ''), tool === 'oneloop' ? `Received '${text}'` : text, line)
    })
  }
  await comesBack(['echo', 'ws-echo', 'udp-echo'], '-n \'"\\\'$HOME `id` $(id) %s %% \\x41 \\101 !! #{x} ~ *')
  await comesBack(['ws-echo'], 'A frame of more than 125 bytes. '.repeat(10))
  // `oneloop` is left out because it is the slowest to start and has no syntax of its own.
  await fc.assert(fc.asyncProperty(fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 80 }), (text) => comesBack(['echo'], text, 'oneloop')), { numRuns: 5 })
})
