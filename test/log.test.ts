/** A log that cannot be written is no reason to stop: full disks, and pipes that nobody reads any more. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, openSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { get } from '../src/clients/http.ts'
import { ENV, FREE_PORTS, PROGRAM, ROOT, TIMEOUT_MS, until } from './support.ts'

/** Somebody has had this number, and nobody has it now: the log that would tell another cannot be read. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** Starts the server with this standard output; it serves, counts what it could not write, says so once, and ends with 0. */
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
  t.equal(stderr.match(/^oneloop: the log cannot be written \((ENOSPC|EPIPE)\): serving on, and counting the lost lines$/mg)?.length, 1, stderr)
  child.kill('SIGTERM')
  t.same(await once(child, 'exit'), [0, null])
}

t.test('a full disk under standard output', { skip: !existsSync('/dev/full') && 'without /dev/full' }, async (t) => {
  const full = openSync('/dev/full', 'w')
  t.teardown(() => closeSync(full))
  await servesWith(t, full)
})

t.test('a pipe whose reader has gone, as with head(1)', (t) => servesWith(t, 'pipe', async (output) => {
  await once(output as NodeJS.ReadableStream, 'data')
  ;(output as unknown as { destroy (): void }).destroy()
}))
