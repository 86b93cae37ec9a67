/** The benchmark as a command. No test asserts a speed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import type { Sample } from '../bench/rounds.ts'
import { ENV, ROOT, until } from './support.ts'

interface Report { readonly samples: readonly Sample[], readonly failures: readonly object[] }

function launch (...args: string[]) {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), 'bench/bench.ts', ...args], { cwd: ROOT, env: ENV })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
  return { child, ended: once(child, 'close').then(([code]) => ({ code: code as number | null, output })) }
}

/** Runs the bench for one short round, and returns the output of --json. */
async function measure (t: Test, ...args: string[]) {
  const file = join(t.testdir(), 'all.json')
  const { code, output } = await launch('--quick', '--rounds', '1', '--seconds', '0.2', '--json', file, ...args).ended
  return { code, output, ...JSON.parse(readFileSync(file, 'utf8')) as Report }
}

t.test('it measures rows without errors', async (t) => {
  const rows = ['http-keepalive', 'udp-64']
  const { code, output, samples } = await measure(t, '--targets', 'node', ...rows)
  t.equal(code, 0, output)
  t.same(samples.map(({ row }) => row), rows)
  for (const { row, operations, seconds, p50, p99, errors, serverCpu } of samples) {
    t.ok(operations > 0, `${row}: operations`)
    t.equal(errors, 0, `${row}: errors`)
    t.ok(p50 && p99 && p50 > 0 && p50 <= p99 && p99 < 30e6, `${row}: latencies in order`)
    if (process.platform === 'linux') t.ok(serverCpu !== null && serverCpu > 0 && serverCpu < 2e6 * seconds, `${row}: CPU time`)
    t.match(output, new RegExp(`### ${row}: .*\n\n.*\n.*\n\\| node `))
  }
})

t.test('wrong bytes from a server count as errors, not as operations', async (t) => {
  const server = createServer((socket) => {
    socket.on('error', () => {}).on('data', (chunk) => socket.write(chunk.fill('!', chunk.length - 1)))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { code, output, samples } = await measure(t, '--against', `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`, 'tcp-64-d1')
  t.equal(code, 1)
  t.match(samples, [{ row: 'tcp-64-d1', operations: 0, errors: 64, serverCpu: null, note: 'the bytes that came back are not those sent' }])
  t.match(output, /CPU time and memory are unknown/)
})

t.test('wrong options exit with 2 and one line', async (t) => {
  await Promise.all(([
    [['--fast'], /--fast/],
    [['--against', 'ftp://127.0.0.1:21'], /--against takes/]
  ] as const).map(async ([args, message]) => {
    const { code, output } = await launch(...args).ended
    t.equal(code, 2, args.join(' '))
    t.match(output, message)
    t.equal(output.trim().split('\n').length, 1)
  }))
})

/** The child processes of a process, from /proc. */
const childrenOf = (pid: number): number[] =>
  readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number).filter((child) => {
    try {
      return readFileSync(`/proc/${child}/stat`, 'latin1').split(') ').at(-1)?.split(' ')[1] === String(pid)
    } catch {
      return false
    }
  })

t.test('a signal ends it and all processes that it has started', { skip: process.platform !== 'linux' && 'needs /proc' }, async (t) => {
  const { child, ended } = launch('--quick', '--targets', 'node', 'tcp-64-d1')
  const pid = child.pid ?? 0
  await until(() => childrenOf(pid).length >= 2, 'the server and the load generator run')
  const children = childrenOf(pid)
  child.kill('SIGTERM')
  t.equal((await ended).code, 143)
  await until(() => children.every((one) => !readdirSync('/proc').includes(String(one))), 'they have ended')
})
