/** The log in words, and a log that cannot be written: a full disk, or a pipe without a reader. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { stripVTControlCharacters } from 'node:util'
import t, { type Test } from 'tap'
import { get } from '../src/clients/http.ts'
import { words } from '../src/log/words.ts'
import { ENV, FREE_PORTS, PROGRAM, ROOT, TIMEOUT_MS, until } from './support.ts'

/** Finds a free port in advance: the log that would name the port cannot be read here. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts the server with this standard output. Checks that it serves, counts the lost lines, reports the failure once, and ends with 0. */
async function servesWith (t: Test, stdout: number | 'pipe', onStart: (output: NodeJS.ReadableStream | null) => Promise<unknown> = async () => {}): Promise<void> {
  const port = await freePort()
  const [program, script] = PROGRAM
  const child = spawn(program, [script, 'serve'], { cwd: ROOT, env: { ...ENV, ...FREE_PORTS, HTTP_PORT: String(port) }, stdio: ['ignore', stdout, 'pipe'] })
  t.teardown(() => { child.kill('SIGKILL') })
  let stderr = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  await onStart(child.stdout)
  const target = { host: '127.0.0.1', port }
  const metrics = async () => (await get(target, '/metrics', TIMEOUT_MS).catch(() => ({ body: '' }))).body
  const lost = async () => Number(/^oneloop_log_lines_lost_total (\d+)$/m.exec(await metrics())?.[1] ?? 0)
  await until(async () => await lost() > 0, 'lost lines are counted')
  const before = await lost()
  await get(target, '/api/services', TIMEOUT_MS)
  await until(async () => await lost() > before, 'and more of them')
  t.equal(child.exitCode, null, 'it serves on')
  t.equal(stderr.match(/^oneloop: the log cannot be written \((ENOSPC|EPIPE)\)\. The server goes on and counts the lost lines$/mg)?.length, 1, stderr)
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
}

t.test('the server serves on when the disk of its log is full', { skip: !existsSync('/dev/full') && 'without /dev/full' }, async (t) => {
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  await servesWith(t, full)
})

t.test('the server serves on when the reader of its log has gone, as with head(1)', (t) => servesWith(t, 'pipe', async (output) => {
  await once(output as NodeJS.ReadableStream, 'data')
  ;(output as unknown as { destroy (): void }).destroy()
}))

t.test('on a terminal a line is in words: service, peer, what happened and how much, in one line', (t) => {
  const at = { time: new Date(2026, 10, 29, 14, 3, 22, 512).getTime(), pid: 1, hostname: 'lab' }
  const info = { ...at, level: 30 }
  const cases: [line: object, text: string][] = [
    [{ ...info, service: 'echo', connection: 3, peer: '127.0.0.1:51810', bytesIn: 11, bytesOut: 12, durationMs: 5, reason: 'closed by client', msg: 'connection closed' },
      '14:03:22.512  echo       127.0.0.1:51810  closed by client after 5 ms, 11 B in, 12 B out\n'],
    [{ ...info, service: 'http', connection: 3, peer: '[::1]:5181', reqId: 'req-1', method: 'GET', url: '/healthz', status: 200, durationMs: 1, unlogged: 4, msg: 'request' },
      '14:03:22.512  http       [::1]:5181       GET /healthz: 200 after 1 ms (lines left out before this one: 4)\n'],
    [{ ...at, level: 40, service: 'udp-echo', peer: '127.0.0.1:40112', reason: 'UDP_RATE', count: 3, msg: 'refused' }, '14:03:22.512  udp-echo   127.0.0.1:40112  refused 3 times: UDP_RATE\n'],
    [{ ...at, level: 50, service: 'time', count: 1, err: { message: 'accept EMFILE', code: 'EMFILE', stack: 'Error: accept EMFILE\n    at here' }, msg: 'accept failed' }, '14:03:22.512  time       accept failed: accept EMFILE\n'],
    [{ ...at, level: 50, err: { message: 'a bug', stack: 'Error: a bug\n    at here' }, msg: 'the route failed' }, '14:03:22.512  the route failed: a bug\n    at here\n'],
    [{ ...info, service: 'listener', peer: '127.0.0.1:40112', bytes: 5, msg: 'two\nlines\u001b[2J' }, '14:03:22.512  listener   127.0.0.1:40112  two\\u000alines\\u001b[2J, 5 B\n'],
    [{ ...info, signal: 'SIGINT', msg: 'draining' }, '14:03:22.512  draining {"signal":"SIGINT"}\n']
  ]
  for (const [line, text] of cases) t.equal(stripVTControlCharacters(words(JSON.stringify(line))), text)
  t.end()
})
