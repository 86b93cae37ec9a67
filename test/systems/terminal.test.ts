/** The program on a terminal made by script(1). */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t, { type Test } from 'tap'
import { connect, ENV, FREE_PORTS, PROGRAM, ROOT, serverFor, until, without } from '../support.ts'

const skip = process.platform === 'linux' ? without('script') : 'needs script(1) of util-linux'
const CTRL_C = '\u0003'

/** Runs the program on a pseudo-terminal. */
function onTerminal (t: Test, args: string[], env: NodeJS.ProcessEnv = {}) {
  const quoted = [...PROGRAM, ...args].map((word) => `'${word}'`).join(' ')
  // Without exec, Ctrl-C also reaches the shell, and dash(1) then ends with 130 whatever the program's exit code.
  const child = spawn('script', ['-qfec', `exec ${quoted}`, '/dev/null'], { cwd: ROOT, env: { ...ENV, TERM: 'xterm', ...env } })
  t.teardown(() => { child.kill('SIGKILL') })
  const screen = { text: '' }
  child.stdout.setEncoding('utf8').on('data', (text: string) => { screen.text += text })
  return { child, screen }
}

t.test('serve shows the table, log lines in words, and ends with Ctrl-C', { skip }, async (t) => {
  const { child, screen } = onTerminal(t, ['serve'], FREE_PORTS)
  await until(() => screen.text.includes('Stop it with Ctrl-C'), 'the table')
  t.match(screen.text, /Open {3}http:\/\/127\.0\.0\.1:\d+\//)
  const port = Number(/time +tcp +(\d+) +nc 127\.0\.0\.1 \d+ <\/dev\/null/.exec(screen.text)?.[1])
  const client = await connect({ host: '127.0.0.1', port })
  client.end().resume()
  await until(() => /\d {2}time +127\.0\.0\.1:\d+ +closed by [\w ]+ after \d+ ms, 0 B in, 26 B out/.test(screen.text), 'the connection\'s line')
  t.notMatch(screen.text, /"level":/)
  child.stdin.write(CTRL_C)
  const [code] = await once(child, 'close')
  t.equal(code, 0)
})

t.test('ws sends a typed line, shows the answer, and closes with 1000 on Ctrl-C', { skip }, async (t) => {
  const server = await serverFor(t)
  const { child, screen } = onTerminal(t, ['ws', `127.0.0.1:${server.target('http').port}`])
  await until(() => screen.text.includes('Ctrl-C closes'), 'connected')
  child.stdin.write('Hello\r')
  await until(() => screen.text.includes("Received 'Hello'"), 'the answer')
  child.stdin.write(CTRL_C)
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.match(screen.text, /Closed with 1000\./)
  await until(() => server.log.some(({ reason }) => reason === 'close code 1000'), 'the server saw 1000')
})

t.test('sink draws a progress bar', { skip }, async (t) => {
  const server = await serverFor(t)
  const { child, screen } = onTerminal(t, ['sink', `127.0.0.1:${server.target('sink').port}`, '--bytes', '64MiB'])
  await once(child, 'close')
  t.match(screen.text, /\[#*\.*\] \d+ % /)
  t.match(screen.text, /All Data Received: 67108864 bytes\r\nSent 64 MiB in /)
})
