/** Faults of the kernel: failing system calls, made by strace, and a machine that is cut off, made by a network namespace. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import t, { type Test } from 'tap'
import { get } from '../../src/clients/http.ts'
import { sendDatagram } from '../../src/clients/udp.ts'
import { connect as connectWebSocket } from '../../src/clients/websocket.ts'
import { answersAll, closeAll, countAnswered, isAnswered, rawSocket } from '../clients.ts'
import { connect, serve, TIMEOUT_MS, until, without, type Served } from '../support.ts'
import { vanishes, type Way } from '../vanishing.ts'

const options = { timeoutMs: TIMEOUT_MS }

/** Runs `ip` commands, one on each line; false if one fails. */
const ip = (commands: string) => commands.trim().split('\n').every((line) => spawnSync('ip', line.trim().split(' ')).status === 0)

/** Cuts a client's machine off, so that not even acknowledgements come from it; undefined without the right to create a network. */
function cutOff (t: Test): Way | undefined {
  const name = `oneloop${process.pid}`
  // Addresses for benchmarks (RFC 2544).
  const subnet = `198.18.${(process.pid >> 6) & 255}`
  const first = (process.pid & 63) * 4
  if (!ip(`netns add ${name}`)) return
  // The link is deleted too: open connections keep the namespace and its end of the link alive.
  t.teardown(() => { ip(`link del ${name}`); ip(`netns del ${name}`) })
  const isMade = ip(`
    link add ${name} type veth peer name inside netns ${name}
    addr add ${subnet}.${first + 1}/30 dev ${name}
    link set ${name} up
    -n ${name} addr add ${subnet}.${first + 2}/30 dev inside
    -n ${name} link set inside up`)
  if (!isMade) return
  return {
    prefix: ['ip', 'netns', 'exec', name],
    host: `${subnet}.${first + 1}`,
    vanish: () => { ip(`-n ${name} link set inside down`) },
    restore: () => { ip(`-n ${name} link set inside up`) }
  }
}

t.test('a client that is cut off without a FIN or an RST', { skip: without('ip') }, async (t) => {
  const way = cutOff(t)
  if (way) await vanishes(t, way)
  else t.pass('no right to make a network namespace', { skip: true })
})

/** The inode of the server's end of a client's connection. */
function inodeOf (socket: Socket): string {
  const hex = (port?: number) => `:${(port ?? 0).toString(16).toUpperCase().padStart(4, '0')}`
  const rows = readFileSync('/proc/net/tcp', 'utf8').split('\n').map((line) => line.trim().split(/ +/))
  return rows.find(([, local, remote]) => local?.endsWith(hex(socket.remotePort)) && remote?.endsWith(hex(socket.localPort)))?.[9] ?? ''
}

interface Fault {
  /** How often the fault occurred. */
  readonly count: number
  end (): Promise<unknown>
}

/** Makes system calls of the server's main thread fail until `end`; undefined without the right to trace it. */
async function inject (t: Test, { pid }: Served, calls: string, fault: string, socket?: Socket): Promise<Fault | undefined> {
  const path = socket ? ['-P', `socket:[${inodeOf(socket)}]`] : []
  const child = spawn('strace', ['-p', String(pid), ...path, '-e', `trace=${calls}`, '-e', `inject=${calls}:${fault}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  t.teardown(() => { child.kill('SIGKILL') })
  const closed = once(child, 'close')
  let output = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => { output += text })
  await Promise.race([closed, until(() => /attached/.test(output), 'strace attaches')])
  if (child.exitCode !== null) {
    if (process.env.CI !== undefined) throw new Error(output)
    t.pass(output.trim(), { skip: true })
    return
  }
  return {
    get count () { return output.split('(INJECTED)').length - 1 },
    async end () {
      child.kill('SIGINT')
      await closed
    }
  }
}

t.test('when a system call fails', { skip: without('strace') }, async (t) => {
  const server = await serve(t)
  const { lines, target } = server

  for (const error of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'ECONNABORTED']) {
    await t.test(`accept4 with ${error}: everybody is served afterwards`, async (t) => {
      const fault = await inject(t, server, 'accept4', `error=${error}:when=1..20`)
      if (!fault) return
      const { sockets } = await countAnswered(target('echo'), 3)
      t.ok(fault.count > 0, `it failed ${fault.count} times`)
      await fault.end()
      await answersAll(t, target, 'afterwards')
      closeAll(sockets)
    })
  }

  await t.test('sendmsg with EPERM: the answer is lost, and logged', async (t) => {
    const fault = await inject(t, server, 'sendmsg,sendmmsg', 'error=EPERM:when=1')
    if (!fault) return
    await sendDatagram(target('udp-echo'), Buffer.from('lost'), { ...options, isAnswered: false })
    await until(() => lines.some(({ service, msg }) => service === 'udp-echo' && msg === 'the answer was not sent'), 'it is logged')
    t.equal(fault.count, 1)
    await fault.end()
    t.match((await get(target('http'), '/metrics', TIMEOUT_MS)).body, /^oneloop_errors_total\{service="udp-echo",kind="EPERM"\} 1$/m)
    await answersAll(t, target, 'afterwards')
  })

  await t.test('sendmsg with ENOBUFS: the answer comes later', async (t) => {
    const fault = await inject(t, server, 'sendmsg,sendmmsg', 'error=ENOBUFS:when=1..3')
    if (!fault) return
    t.equal(String(await sendDatagram(target('udp-echo'), Buffer.from('later'), options)), 'later')
    t.ok(fault.count > 0, `it failed ${fault.count} times`)
    await fault.end()
    await answersAll(t, target, 'afterwards')
  })

  for (const [service, error] of [['echo', 'ECONNRESET'], ['echo', 'EPIPE'], ['http', 'EPIPE'], ['ws-echo', 'ECONNRESET'], ['ws-echo', 'EPIPE']] as const) {
    await t.test(`write to a client of ${service} with ${error}: that client is ended, and nobody else`, async (t) => {
      const other = await connect(target('echo'))
      const text = 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'
      const webSocket = service === 'ws-echo' ? await connectWebSocket({ ...target('http'), path: '/ws/echo' }, options) : undefined
      const socket = webSocket ? rawSocket(webSocket) : await connect(target(service))
      // Waits for accept, so that the descriptor exists.
      if (!webSocket) {
        socket.write(text)
        await once(socket, 'data')
      }
      const peer = `127.0.0.1:${socket.localPort}`
      const fault = await inject(t, server, 'write,writev', `error=${error}:when=1`, socket)
      if (!fault) return
      const closed = once(socket, 'close')
      if (webSocket) webSocket.send('x')
      else socket.write(text)
      await closed
      const end = () => lines.find((line) => line.peer === peer && line.service === service && line.msg === 'connection closed')
      await until(() => end() !== undefined, 'its end is logged')
      t.match(end(), { reason: /^reset by client$|^close code 1006$/ })
      t.equal(fault.count, 1)
      await fault.end()
      other.write('x')
      t.ok(await isAnswered(other), 'another client is served on')
      other.destroy()
      await answersAll(t, target, 'afterwards')
    })
  }

  t.equal(server.child.exitCode, null)
})
