/** Tests of a client that vanishes during conversations of every kind. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Test } from 'tap'
import type { Find } from './clients.ts'
import { ENV, ROOT, serverFor, until } from './support.ts'

/** A way to vanish. */
export interface Way {
  /** Words before the client's command. */
  readonly prefix: readonly string[]
  readonly host: string
  vanish (child: ChildProcess): void
  /** Restores the network or process for the next client. */
  restore (): void
}

/** Checks that the time limits end it, and that it does not hold a drain up. */
export async function vanishes (t: Test, way: Way): Promise<void> {
  /** Starts a client in its own process, and waits until all its conversations are open. */
  const open = async (target: Find) => {
    const [command = '', ...args] = [...way.prefix, process.execPath, 'test/vanishing-client.js', way.host, target('http').port, target('echo').port].map(String)
    const child = spawn(command, args, { cwd: ROOT, env: ENV, stdio: ['ignore', 'pipe', 'inherit'] })
    t.teardown(() => { child.kill('SIGKILL') })
    await once(child.stdout, 'data')
    return child
  }

  await t.test('is ended by the time limits', async (t) => {
    t.teardown(() => way.restore())
    const { app, endpoint, target, log } = await serverFor(t, {
      HOST: way.host,
      WS_PING_MS: '2000',
      TCP_IDLE_MS: '3000',
      HTTP_HEADERS_MS: '2000',
      HTTP_REQUEST_MS: '3000',
      HTTP_IDLE_MS: '3000',
      HTTP_KEEP_ALIVE_MS: '2000'
    })
    const child = await open(target)
    t.equal(endpoint('ws-echo').open, 1, 'it answers its pings')
    way.vanish(child)
    await until(() => app.endpoints.every(({ open }) => open === 0), 'all its connections are ended')
    const reasons = log.filter(({ msg }) => msg === 'connection closed').map(({ service, reason }) => `${service}: ${reason}`)
    t.same(reasons.filter((reason) => /^(echo|ws)/.test(reason)).sort(), ['echo: did not read its answer: TCP_IDLE_MS', 'echo: idle: TCP_IDLE_MS', 'ws-echo: no pong: WS_PING_MS'])
    t.notOk(log.some(({ level }) => level >= 50), 'nothing is logged as an error')
  })

  await t.test('does not hold a drain', async (t) => {
    const { app, target } = await serverFor(t, { HOST: way.host, WS_PING_MS: '2000', DRAIN_MS: '5000' })
    const child = await open(target)
    way.vanish(child)
    const started = performance.now()
    await app.close()
    t.ok(performance.now() - started < 5000, 'closed within DRAIN_MS')
  })
}
