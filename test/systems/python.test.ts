/** Clients as Python tutorials write them, run against the server unmodified. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { setTimeout as delay } from 'node:timers/promises'
import { promisify } from 'node:util'
import t from 'tap'
import { ask } from '../../src/clients/tcp.ts'
import { connect } from '../../src/clients/websocket.ts'
import { ENV, FREE_PORTS, ROOT, serverFor, TIMEOUT_MS, until, without } from '../support.ts'

const run = promisify(execFile)
const FOLDER = new URL('python/', import.meta.url).pathname
const skip = without('python3')
const TIME = /^The time got from the server is \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}\n$/

/** Script, service, further arguments and expected output. */
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
  const child = execFile('python3', [`${FOLDER}without_ipv6.py`, process.execPath, 'dist/cli.js', 'serve'], { cwd: ROOT, env: { ...ENV, ...FREE_PORTS, HOST: '::' } })
  t.teardown(() => { child.kill('SIGKILL') })
  let log = ''
  child.stdout?.on('data', (text: string) => { log += text })
  await until(() => /"service":"udp-echo".*"msg":"listening"/.test(log), 'the server listens')
  t.match(log, /"wanted":"::","host":"0\.0\.0\.0","msg":"this machine has no IPv6: listening on IPv4 only"/)
  const port = /"service":"greeting".*?"port":(\d+)/.exec(log)?.[1] ?? ''
  t.equal((await run('python3', [`${FOLDER}greeting_client.py`, '127.0.0.1', port])).stdout, 'Thank you for connecting with the socket\n')
})

/** Connects with the smallest buffers, asks for the feed, and never reads until it is told to. */
const DEAF = `
import socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(('127.0.0.1', int(sys.argv[1])))
s.sendall(b'GET /ws/feed HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\\r\\nSec-WebSocket-Version: 13\\r\\n\\r\\n')
sys.stdin.readline()
s.settimeout(3)
try:
    while True:
        data = s.recv(65536)
        if not data: break
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
except socket.timeout:
    pass
`

t.test('a viewer of the feed that never reads loses events, and slows nobody', { skip }, async (t) => {
  const options = { timeoutMs: TIMEOUT_MS }
  const server = await serverFor(t, { LOG_LEVEL: 'silent' })
  const seen: string[] = []
  const viewer = await connect({ ...server.target('http'), path: '/ws/feed' }, { ...options, onMessage: ({ data }) => seen.push(String(data)) })
  t.teardown(() => { viewer.terminate() })
  const deaf = spawn('python3', ['-c', DEAF, String(server.target('http').port)], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => deaf.kill())
  await until(() => server.endpoint('ws-feed').open === 2, 'it is connected')
  const sender = createSocket('udp4')
  sender.connect(server.target('listener').port, '127.0.0.1')
  await once(sender, 'connect')
  const unsent = () => Math.max(...[...server.app.websocketServer.clients].map(({ bufferedAmount }) => bufferedAmount))
  const roundTrips: number[] = []
  let largest = 0
  let isBehind = false
  // Floods until the viewer is behind, and then for 30 more rounds.
  for (let rounds = 0; rounds < 30;) {
    for (let i = 0; i < 300; i++) sender.send('x')
    const began = performance.now()
    await ask(server.target('echo'), { send: Buffer.from('x'), ...options })
    roundTrips.push(performance.now() - began)
    // The feed sends ten batches a second: a faster flood would not fill the buffers any sooner.
    await delay(40)
    largest = Math.max(largest, unsent())
    isBehind ||= unsent() > 262_144
    if (isBehind) rounds++
  }
  t.ok(largest < 262_144 + 100_000, `at most ${largest} bytes wait for it`)
  // A viewer that holds the loop up would do so in every round.
  roundTrips.sort((a, b) => a - b)
  t.ok((roundTrips[roundTrips.length >> 1] ?? Infinity) < 100, 'a service answers as ever')
  await until(async () => {
    // The flood's last batch may leave this connection out.
    await ask(server.target('greeting'), options)
    return seen.some((text) => text.includes('"greeting"'))
  }, 'the other viewer is told as ever')
  let heard = ''
  deaf.stdout.setEncoding('latin1').on('data', (text: string) => { heard += text })
  deaf.stdin.write('\n')
  await until(async () => {
    sender.send('x')
    return [...heard.matchAll(/"dropped":(\d+)/g)].some(([, count]) => Number(count) > 1000)
  }, 'once it reads, it is told how much it missed')
  sender.close()
})
