/** Clients as Python tutorials write them, run against the server unmodified. */
import { execFile, spawnSync } from 'node:child_process'
import { promisify } from 'node:util'
import t from 'tap'
import { FREE_PORTS, serverFor, until } from './support.ts'

const run = promisify(execFile)
const FOLDER = new URL('python/', import.meta.url).pathname
const skip = spawnSync('python3', ['--version']).status !== 0 && 'without python3'
const TIME = /^The time got from the server is \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n$/

/** Script, service, further arguments, and what it prints. */
const clients: [script: string, service: string, args: string[], expected: RegExp | string][] = [
  ['time_client', 'time', [], TIME],
  ['echo_client', 'echo', ['Hello, world'], "Received 'Hello, world'\n"],
  ['echo_nonblocking', 'echo', [], "Received 'Message of connection 1'\nReceived 'Message of connection 2'\nReceived 'Message of connection 3'\n"],
  ['echo_halfclose', 'echo', [], 'Received 60000 bytes and the end of the stream\n'],
  ['echo_once_client', 'echo-once', ['Hello, world'], "Received 'Hello, world'\n"],
  ['greeting_client', 'greeting', [], 'Thank you for connecting with the socket\n'],
  ['exchange_client', 'exchange', ['Hello, world'], 'Welcome to the exchange: send one message\nReceived: Hello, world\n'],
  ['udp_client', 'udp-echo', ['Hello, world'], "Received 'Hello, world'\n"],
  ['udp_nonblocking', 'udp-echo', [], "Received 'Message of socket 1'\nReceived 'Message of socket 2'\nReceived 'Message of socket 3'\n"],
  ['listener_client', 'listener', ['Hello, world'], "Sent 'Hello, world'\n"],
  ['sink_client', 'sink', ['10000000'], 'All Data Received: 130000000 bytes\n'],
  ['sink_nonblocking', 'sink', ['1000000'], 'All Data Received: 13000000 bytes\n']
]

t.test('tutorial clients in Python', { skip }, async (t) => {
  const server = await serverFor(t)
  for (const [script, service, args, expected] of clients) {
    const { host, port } = server.target(service)
    const { stdout } = await run('python3', [`${FOLDER}${script}.py`, host, String(port), ...args])
    if (typeof expected === 'string') t.equal(stdout, expected, script)
    else t.match(stdout, expected, script)
  }
  await until(() => server.log.some(({ msg }) => /^Received Messages: Hello, world from 127\.0\.0\.1:\d+$/.test(msg)), 'the listener logs what it heard')
})

t.test('on a machine without IPv6, HOST=:: becomes 0.0.0.0, and the log says so', { skip }, async (t) => {
  const probe = spawnSync('python3', [`${FOLDER}without_ipv6.py`, 'true'])
  if (probe.status !== 0) {
    t.pass('system calls cannot be filtered here', { skip: true })
    return
  }
  const { NODE_OPTIONS: _tapsOwn, ...env } = process.env
  const child = execFile('python3', [`${FOLDER}without_ipv6.py`, process.execPath, 'dist/cli.js', 'serve'], { cwd: `${FOLDER}../..`, env: { ...env, ...FREE_PORTS, HOST: '::' } })
  t.teardown(() => { child.kill('SIGKILL') })
  let log = ''
  child.stdout?.on('data', (text: string) => { log += text })
  await until(() => /"service":"udp-echo".*"msg":"listening"/.test(log), 'the server listens')
  t.match(log, /"wanted":"::","host":"0\.0\.0\.0","msg":"this machine has no IPv6: listening on IPv4 only"/)
  const port = /"service":"greeting".*?"port":(\d+)/.exec(log)?.[1] ?? ''
  t.equal((await run('python3', [`${FOLDER}greeting_client.py`, '127.0.0.1', port])).stdout, 'Thank you for connecting with the socket\n')
})
