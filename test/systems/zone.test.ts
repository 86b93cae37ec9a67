/** A time zone mounted at /etc/localtime, as in containers. */
import { spawn, spawnSync } from 'node:child_process'
import t from 'tap'
import { ask } from '../../src/clients/tcp.ts'
import { ENV, FREE_PORTS, PROGRAM, ROOT, TIMEOUT_MS, until } from '../support.ts'

const MOUNTED = ['unshare', '-m', 'sh', '-c', 'mount --bind /usr/share/zoneinfo/Asia/Tokyo /etc/localtime && exec "$@"', 'sh'] as const
const [command, ...args] = MOUNTED
const mayMount = spawnSync(command, [...args, 'date'], { env: { PATH: ENV.PATH } }).stdout?.toString().includes('JST')

t.test('a file mounted at /etc/localtime sets the zone, as for date(1)', { skip: !mayMount && 'no right to mount one' }, async (t) => {
  const { TZ: _zone, ...env } = ENV
  const child = spawn(command, [...args, 'sh', '-c', 'unset NODE_OPTIONS; exec "$@"', 'sh', ...PROGRAM, 'serve'], { cwd: ROOT, env: { ...env, ...FREE_PORTS } })
  t.teardown(() => { child.kill('SIGKILL') })
  let log = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { log += text })
  await until(() => log.includes('"service":"udp-echo"'), 'it listens')
  const port = Number(/"service":"time".*?"port":(\d+)/.exec(log)?.[1])
  const told = Date.parse(`${String(await ask({ host: '127.0.0.1', port }, { timeoutMs: TIMEOUT_MS })).trim()} GMT+0900`)
  t.ok(Math.abs(told - Date.now()) < 60_000, new Date(told).toString())
  t.notMatch(log, /time zone/)
})
