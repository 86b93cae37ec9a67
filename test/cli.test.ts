/** The program as its users run it: the server's life, and every client. */
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, statSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { checkCommand } from '../src/commands/check.ts'
import { sinkCommand } from '../src/commands/sink.ts'
import { tcpCommands } from '../src/commands/tcp.ts'
import { udpCommand } from '../src/commands/udp.ts'
import { wsCommand } from '../src/commands/ws.ts'
import { flag, settings } from '../src/config/settings.ts'
import { connect as connectWebSocket } from '../src/clients/websocket.ts'
import { connect, ENV, FREE_PORTS, launch, PROGRAM, readAll, ROOT, run, serve, serverFor, settled, TALKATIVE, TIMEOUT_MS, until } from './support.ts'

/** A limit of processes does not apply to root, so the server runs as nobody here. */
const uid = process.getuid?.() === 0 ? 65_534 : undefined
const canLimit = spawnSync('prlimit', ['--version']).status === 0 &&
  spawnSync(PROGRAM[0], [PROGRAM[1], '--version'], { cwd: ROOT, env: ENV, ...(uid !== undefined && { uid }) }).status === 0

t.test('the program is executable after each build', { skip: process.platform === 'win32' && 'it knows no such right' }, async (t) => {
  const { mode } = statSync(new URL('dist/cli.js', ROOT))
  t.equal(mode & 0o111, 0o111)
})

t.test('without a thread for the probe, the page is still served', { skip: !canLimit && 'without prlimit, or nobody may not read this folder' }, async (t) => {
  const { child, lines, port } = await serve(t, {}, { uid })
  const limitProcesses = (count: number) => {
    const { status, stderr } = spawnSync('prlimit', [`--pid=${child.pid}`, `--nproc=${count}:`], { ...(uid !== undefined && { uid }) })
    t.equal(status, 0, String(stderr))
  }
  limitProcesses(1)
  const socket = await connectWebSocket({ host: '127.0.0.1', port: port('http'), path: '/ws/loop' }, { timeoutMs: TIMEOUT_MS })
  await until(() => lines.some(({ msg }) => msg === 'the probe failed'), 'it is logged')
  const answer = await fetch(`http://127.0.0.1:${port('http')}/api/lab/wait?ms=1`, { method: 'POST' })
  t.match(await answer.json(), { sentence: 'Wait ran for 1 ms, but there was no probe to measure with.' })
  t.equal((await fetch(`http://127.0.0.1:${port('http')}/api/lab/worker?ms=1`, { method: 'POST' })).status, 500)
  t.equal((await fetch(`http://127.0.0.1:${port('http')}/healthz`)).status, 200)
  limitProcesses(4096)
  let hasPings = false
  socket.on('message', (data) => { hasPings ||= String(data).includes('"transport":"udp"') })
  await until(() => hasPings, 'and with it, once there is one again')
  socket.close()
})

t.test('the server', async (t) => {
  await t.test('SIGINT ends it with 0, and its last log line is written', async (t) => {
    const { child, lines, port } = await serve(t)
    const socket = await connectWebSocket({ host: '127.0.0.1', port: port('http'), path: '/ws/time' }, { timeoutMs: TIMEOUT_MS })
    const closed = once(socket, 'close')
    child.kill('SIGINT')
    t.equal((await closed)[0], 1001)
    const [code] = await once(child, 'close')
    t.equal(code, 0)
    t.equal(lines.at(-1)?.msg, 'stopped')
  })

  await t.test('a second signal ends it at once', async (t) => {
    const { child, lines, port } = await serve(t, { DRAIN_MS: '600000', WS_CLOSE_MS: '60000' })
    const deaf = await connectWebSocket({ host: '127.0.0.1', port: port('http'), path: '/ws/echo' }, { timeoutMs: TIMEOUT_MS })
    deaf.pause()
    child.kill('SIGINT')
    await until(() => lines.some(({ msg }) => msg === 'draining'), 'the drain begins')
    child.kill('SIGINT')
    const [code] = await once(child, 'exit')
    t.equal(code, 1)
    deaf.terminate()
  })

  await t.test('a log that nobody reads does not block it', async (t) => {
    const child = launch(['serve'], { ...FREE_PORTS, ...TALKATIVE, LOG_LEVEL: 'debug' })
    t.teardown(() => { child.kill('SIGKILL') })
    let log = ''
    const onData = (text: string) => { log += text }
    child.stdout?.setEncoding('utf8').on('data', onData)
    await until(() => /"service":"udp-echo".*"msg":"listening"/.test(log), 'the server listens')
    child.stdout?.off('data', onData).pause()
    const port = Number(/"service":"greeting".*?"port":(\d+)/.exec(log)?.[1])
    // More lines than fit into the pipe's 64 KiB and this process's buffer.
    for (let i = 0; i < 600; i++) await readAll(await connect({ host: '127.0.0.1', port }))
    child.kill('SIGTERM')
    const [code] = await once(child, 'exit')
    t.equal(code, 0)
  })

  await t.test('under npm, SIGTERM to npm\'s shell ends it too', { skip: process.platform === 'win32' && 'a POSIX shell\'s way' }, async (t) => {
    // Like npm's shell: it waits for its child, and dies of SIGTERM without passing it on.
    const child = spawn('sh', ['-c', `${PROGRAM.join(' ')} serve; exit`], { cwd: ROOT, env: { ...ENV, ...FREE_PORTS, npm_lifecycle_event: 'start' } })
    let log = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { log += text })
    await until(() => /"service":"udp-echo".*"msg":"listening"/.test(log), 'the server listens')
    child.kill('SIGTERM')
    await once(child.stdout, 'end')
    t.match(log, /"msg":"stopped"\}\n$/)
  })

  await t.test('wrong settings end it with 2, and all of them are named', async (t) => {
    const { code, stdout, stderr } = await run(['serve', '--drain-ms', 'soon'], { env: { HOST: 'localhost' } })
    t.equal(code, 2)
    t.equal(stdout, '')
    t.match(stderr, /^oneloop: wrong settings:\n {2}HOST="localhost" from the environment must be [^\n]*\n {2}DRAIN_MS="soon" from --drain-ms must be [^\n]*\n$/)
  })

  await t.test('a busy port that was set ends it with 1 and no stack', async (t) => {
    const { target } = await serverFor(t)
    const { port } = target('time')
    const { code, stderr } = await run(['--time-port', String(port)], { env: FREE_PORTS })
    t.equal(code, 1)
    t.match(stderr, new RegExp(`^oneloop: cannot start:\\n  TIME_PORT=${port}: tcp port ${port} on 127.0.0.1 is in use by another program.*\\n$`))
  })

  await t.test('--help shows every setting, in 80 columns', async (t) => {
    const { code, stdout } = await run(['serve', '--help'])
    t.equal(code, 0)
    for (const [name, { default: value }] of Object.entries(settings)) {
      // The lines from the setting's flag to the next one, joined.
      const [, help = ''] = new RegExp(`^  ${flag(name)} <value>( [^]*?)\\n(?:  -|\\n)`, 'm').exec(stdout) ?? []
      t.match(help.replace(/\s+/g, ' '), value === '' ? /\S/ : `default ${value})`, name)
    }
    t.same(stdout.split('\n').filter((line) => line.length > 80), [])
  })

  await t.test('an address that the machine does not have is reported once', async (t) => {
    const { code, stderr } = await run([], { env: { ...FREE_PORTS, HOST: '192.0.2.1' } })
    t.equal(code, 1)
    t.equal(stderr, 'oneloop: cannot start:\n  HOST=192.0.2.1: this machine does not have that address. Set HOST to one that it has\n')
  })

  await t.test('sink takes 130 MB while its memory stays within 96 MiB of idle', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
    const { child, port } = await serve(t)
    const memory = (field: string) => Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024
    const idle = memory('VmRSS')
    const { code, stdout } = await run(['sink', `:${port('sink')}`, '--bytes', '130MB'])
    t.equal(code, 0)
    t.match(stdout, /^All Data Received: 130000000 bytes\nSent 124 MiB in \d+\.\d\d s: [\d.]+ [GM]iB\/s\n$/)
    const grown = memory('VmHWM') - idle
    t.ok(grown < 96 * 1024 * 1024, `grew by ${(grown / 1024 / 1024).toFixed(1)} MiB at its peak`)
  })
})

/** Runs a shell, which can give `/dev/full` as standard output or a folder as standard input. */
async function shell (t: Test, line: string, env: NodeJS.ProcessEnv = {}): Promise<{ code: number, stdout: string, stderr: string }> {
  const child = spawn('sh', ['-c', line.replaceAll('oneloop', PROGRAM.join(' '))], { cwd: ROOT, env: { ...ENV, ...env } })
  t.teardown(() => { child.kill('SIGKILL') })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [code] = await once(child, 'close') as [number]
  return { code, stdout, stderr }
}

t.test('the clients', async (t) => {
  const server = await serverFor(t, { LOG_LEVEL: 'silent', PROFILE: 'bench' })
  const at = (name: string) => `127.0.0.1:${server.target(name).port}`
  const ok = async (args: string[], expected: RegExp | string, input?: string | Buffer) => {
    const { code, stdout, stderr } = await run(args, { ...(input !== undefined && { input }) })
    t.equal(stderr, '', args.join(' '))
    t.match(stdout, expected)
    t.equal(code, 0)
  }
  const fails = async (args: string[], expectedCode: number, expected: RegExp) => {
    const { code, stdout, stderr } = await run(args)
    t.match(stderr, expected, args.join(' '))
    t.notMatch(stderr, /\n\s+at /, 'no stack trace')
    t.equal(stdout, '')
    t.equal(code, expectedCode)
  }

  // `npm run test:systems` tests the others with the transcripts of the README.
  await t.test('speak like the tutorials\'', async () => {
    await ok(['echo', at('echo')], /^Received 3 bytes: ff fe 00\n$/, Buffer.from([0xff, 0xfe, 0]))
    await ok(['echo', at('echo'), '--raw'], /^x{1000000}$/, 'x'.repeat(1_000_000))
    await ok(['udp', at('listener'), 'Hello', '--no-answer'], /^Sent 'Hello' to 127\.0\.0\.1:\d+\n$/)
    await ok(['ws', `ws://${at('http')}/ws/echo`, '--binary'], /^Received binary 'a'\nReceived binary 'b'\n$/, 'a\nb\n')
    await ok(['ws', at('http'), '--path', '/ws/time', '--count', '1'], /^Received '\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4}'\n$/)
  })

  await t.test('speak JSON', async (t) => {
    const json = async (...args: string[]) => JSON.parse((await run([...args, '--json'])).stdout) as Record<string, unknown>
    t.match(await json('exchange', at('exchange'), 'hi'), { sent: 'hi', greeting: /^Welcome/, answer: 'Received: hi\r\n' })
    t.match(await json('sink', at('sink'), '--bytes', '1KiB'), { sent: 1024, answer: 'All Data Received: 1024 bytes\r\n', bytesPerSecond: Number })
    t.match(await json('ws', at('http'), 'hi'), { received: 'hi', isBinary: false, port: server.target('http').port, ms: Number })
    t.match(await json('echo', at('echo'), '\u009b\u202e'), { received: '\u009b\u202e' })
    const failed = { address: '127.0.0.1', port: 1, ms: Number, code: 'ECONNREFUSED', message: /^cannot .* refused/ }
    await Promise.all(['time', 'exchange', 'sink', 'udp', 'ws', 'check'].map(async (name) => {
      t.match(await json(name, '127.0.0.1:1'), { service: name, ...failed }, name)
    }))
    t.match(await json('time', '--nothing'), { code: 'ERR_USAGE', message: "unknown option '--nothing'" })
    t.match(await json('time', '127.0.0.1:x'), { code: 'ERR_ADDRESS', message: /^'127\.0\.0\.1:x' is not an address/ })
  })

  await t.test('escape what a server sends, always in the same form', async (t) => {
    const rude = createServer((socket) => { socket.on('error', () => {}).resume().end('\u001b[2J\n\u202ea\r\n') }).listen(0, '127.0.0.1')
    t.teardown(() => { rude.close() })
    await once(rude, 'listening')
    const address = `127.0.0.1:${(rude.address() as AddressInfo).port}`
    const escaped = '\\u001b[2J\\u000a\\u202ea'
    await ok(['time', address], `The time got from the server is ${escaped}\n`)
    await ok(['greeting', address], `${escaped}\n`)
    await ok(['echo', address, 'hi'], `Received '${escaped}\\u000d\\u000a'\n`)
    t.ok((await run(['time', address, '--json'])).stdout.includes('"received":"\\u001b[2J\\n\\u202ea\\r\\n"'))
  })

  await t.test('say in one line what went wrong and what to do', async () => {
    const closed = await serverFor(t)
    const gone = closed.target('time').port
    await closed.app.close()
    await fails(['time', `127.0.0.1:${gone}`], 1, new RegExp(`^oneloop: cannot connect to 127\\.0\\.0\\.1:${gone}: connection refused\\. Is oneloop running\\? Start it with: npm start\\n$`))
    await fails(['udp', `127.0.0.1:${gone}`, 'hi'], 1, /^oneloop: cannot send to .* connection refused/)
    await fails(['check', at('time')], 1, /^oneloop: cannot connect to .* does not speak HTTP/)
    await fails(['udp', at('listener'), 'hi', '--timeout', '0.2'], 1, /^oneloop: no answer from .* within 0\.2 s/)
    await fails(['ws', at('http'), 'hi', '--path', 'nowhere'], 1, /the server answered 404 Not Found: There is nothing at \/nowhere\. Try the path \/ws\/echo\n$/)
    await fails(['time', 'nowhere.invalid'], 1, /^oneloop: cannot connect to nowhere\.invalid:9999: (there is no such host|its name cannot be looked up)/)
    await fails(['time', '127.0.0.1:port'], 2, /^oneloop: '127\.0\.0\.1:port' is not an address/)
    await fails(['tim'], 2, /^oneloop: there is no command 'tim'\. See: oneloop --help\n$/)
    await fails(['time', '--jso'], 2, /^oneloop: unknown option '--jso' \(Did you mean --json\?\)\n$/)
    await fails(['sink', at('sink'), 'text', '--bytes', '1'], 2, /^oneloop: sink sends a text or --bytes, not both\n$/)
    await fails(['udp', '255.255.255.255', 'hi'], 1, /^oneloop: cannot send to 255\.255\.255\.255:12347: this machine does not permit it/)
    await fails(['udp', at('listener'), 'hi', '--timeout', '0.2'], 1, /The listener never answers: write --no-answer\n$/)
  })

  await t.test('hint that a single word may be the text and not the host', async () => {
    const hint = "\\. If this is the text to send, write the address before it: oneloop echo localhost 'Hello,? ?\\w*'\\n$"
    await fails(['echo', 'Hello, world'], 2, new RegExp(`^oneloop: 'Hello, world' is not an address: .*${hint}`))
    await fails(['echo', 'Hello.invalid'], 1, /If this is the text to send/)
    await fails(['time', 'Hello, world'], 2, /1 to 65535\n$/)
    await fails(['echo', 'Hello, world', 'text'], 2, /1 to 65535\n$/)
  })

  await t.test('accept WebSocket URLs, or say what is wrong with one', async () => {
    await ok(['ws', `http://${at('http')}/ws/echo`, 'hi'], "Received 'hi'\n")
    await ok(['ws', `WS://${at('http')}?x=1`, 'hi'], "Received 'hi'\n")
    await fails(['ws', 'wss://localhost', 'hi'], 2, /^oneloop: 'wss:\/\/localhost' asks for TLS, which this client does not speak: write ws:\/\/\n$/)
    await fails(['ws', 'ftp://localhost', 'hi'], 2, /^oneloop: 'ftp:\/\/localhost' is not a WebSocket URL: write ws:\/\/\n$/)
    await fails(['ws', 'ws:///ws/echo', 'hi'], 2, /names no host/)
    await fails(['ws', `ws://${at('http')}/ws/echo#x`, 'hi'], 2, /^oneloop: ws:\/\/.*#x is not a WebSocket URL: The URL contains a fragment identifier\n$/)
  })

  await t.test('do not wait for an answer from the listener', async (t) => {
    const { port } = server.target('listener')
    const { code, stdout } = await run(['udp', `127.0.0.1:${port}`, 'hi'], { env: { LISTENER_PORT: String(port) } })
    t.match({ code, stdout }, { code: 0, stdout: `Sent 'hi' to 127.0.0.1:${port}\n` })
  })

  await t.test('say that they wait for their input, once', async (t) => {
    await Promise.all(['echo', 'exchange'].map(async (name) => {
      const child = launch([name, at(name)])
      let stderr = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => {
        stderr += text
        child.stdin?.end('hi')
      })
      const [code] = await once(child, 'close')
      t.match({ code, stderr }, { code: 0, stderr: /^oneloop: waiting for standard input, which Ctrl-D ends\. .*\n$/ }, name)
    }))
  })

  await t.test('report a failing output or input in one line', { skip: process.platform !== 'linux' && 'without /dev/full' }, async (t) => {
    await Promise.all([`echo ${at('echo')} hi --raw`, `ws ${at('http')} hi`, `check ${at('http')}`, '--help', 'time :1 --json'].map(async (args) => {
      const { code, stderr } = await shell(t, `oneloop ${args} >/dev/full`)
      t.match({ code, stderr }, { code: 1, stderr: /^oneloop: cannot write the output: ENOSPC[^\n]*\n$/ }, args)
    }))
    await Promise.all([`echo ${at('echo')}`, `sink ${at('sink')}`, `ws ${at('http')}`].map(async (args) => {
      const { code, stdout, stderr } = await shell(t, `oneloop ${args} </tmp`)
      t.same({ code, stdout, stderr }, { code: 1, stdout: '', stderr: 'oneloop: cannot read standard input: it is a folder\n' }, args)
    }))
    t.match(await shell(t, `oneloop echo ${at('echo')} 0>/dev/null`), { code: 1, stderr: /^oneloop: cannot read standard input: EBADF[^\n]*\n$/ })
    t.match(await shell(t, 'oneloop time --nothing 2>/dev/full'), { code: 2, stdout: '' })
  })

  await t.test('buffer no more of their input than their protocol takes', { skip: process.platform === 'win32' && 'without yes' }, async (t) => {
    const cases: [string, RegExp][] = [
      [`yes | oneloop exchange ${at('exchange')}`, /^oneloop: the input is too large: the service takes one message, of 64 KiB at most\n$/],
      [`yes | oneloop echo ${at('echo')}`, /^oneloop: the input is too large: at most 1 MiB is shown in quotes\. --raw /],
      [`yes | oneloop udp ${at('udp-echo')}`, /^oneloop: the input is too large: one datagram takes 65507 bytes at most\n$/],
      [`yes | tr -d '\\n' | oneloop ws ${at('http')}`, /^oneloop: a line of the input is too large: a server takes messages of 1 MiB at most \(WS_MAX_MESSAGE_BYTES\)\n$/]
    ]
    await Promise.all(cases.map(async ([line, expected]) => t.match(await shell(t, line), { code: 1, stdout: '', stderr: expected }, line)))
  })

  await t.test('echo --raw sends no faster than its answer is read', { skip: process.platform !== 'linux' && 'reads /proc' }, async (t) => {
    const child = launch(['echo', at('echo'), '--raw', '--timeout', '0.3'])
    t.teardown(() => { child.kill('SIGKILL') })
    const megabyte = Buffer.alloc(1_000_000, 'x')
    let sent = 0
    const send = () => { while (sent < 200 && child.stdin?.write(megabyte)) sent++ }
    child.stdin?.on('drain', () => { sent++; send() }).on('error', () => {})
    send()
    // Standard output is not read yet.
    t.ok(await settled(() => sent) < 200)
    const peak = Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1])
    t.ok(peak < 160 * 1024, `${peak} KiB`)
    let received = 0
    child.stdout?.on('data', (chunk: Buffer) => { received += chunk.length })
    await until(() => sent >= 200, 'all is sent')
    child.stdin?.end()
    const [code] = await once(child, 'close')
    t.equal(code, 0)
    t.equal(received, sent * megabyte.length)
  })

  await t.test('ws reports the rate that it crossed', async (t) => {
    const limited = await serverFor(t, { WS_BURST: '100', WS_RATE: '1' })
    const input = Array.from({ length: 5000 }, (_line, index) => `${index}\n`).join('')
    const { code, stdout, stderr } = await run(['ws', `127.0.0.1:${limited.target('http').port}`], { input })
    t.equal(code, 1)
    t.match(stdout, /^Received '0'\nReceived '1'\n/)
    t.match(stderr, /^oneloop: the server closed the connection with 1008 'more than 1 messages a second' after 10\d answers\n$/)
  })

  await t.test('name a default address and an example in their help', async (t) => {
    for (const command of [...tcpCommands(), sinkCommand(), udpCommand(), wsCommand(), checkCommand()]) {
      const name = command.name()
      let help = ''
      command.configureOutput({ writeOut: (text) => { help += text }, getOutHelpWidth: () => 80 }).outputHelp()
      t.match(help, /^Default address: 127\.0\.0\.1:\d+ \(HOST and \w+_PORT in the environment\)$/m, name)
      t.match(help, new RegExp(`^Example: npx oneloop ${name} 127\\.0\\.0\\.1`, 'm'), name)
      t.same(help.split('\n').filter((line) => line.length > 80), [], name)
    }
  })

  await t.test('end when the server has gone, even if more input might come', async (t) => {
    const rude = createServer((socket) => { socket.on('error', () => {}).resetAndDestroy() }).listen(0, '127.0.0.1')
    t.teardown(() => { rude.close() })
    await once(rude, 'listening')
    const child = launch(['echo', `127.0.0.1:${(rude.address() as AddressInfo).port}`, '--raw'])
    const [code] = await once(child, 'exit')
    t.equal(code, 1)
  })

  await t.test('fail if the server closes without an answer', async (t) => {
    const full = await serverFor(t, { TCP_MAX_CONNECTIONS: '1' })
    const names = ['exchange', 'sink']
    const holders = await Promise.all(names.map(async (name) => {
      // It reads nothing and does not close, so it keeps its place.
      return await connect(full.target(name), { allowHalfOpen: true })
    }))
    t.teardown(() => { for (const socket of holders) socket.destroy() })
    for (const name of names) {
      const address = `127.0.0.1:${full.target(name).port}`
      const { code, stdout, stderr } = await run([name, address], { input: 'hi' })
      t.match({ code, stdout, stderr }, { code: 1, stdout: '', stderr: /^oneloop: (no answer from .*: it closed the connection first|lost .* (reset|closed))/ }, name)
    }
    const small = await serverFor(t, { WS_MAX_MESSAGE_BYTES: '10' })
    const { code, stderr } = await run(['ws', `127.0.0.1:${small.target('http').port}`], { input: 'x'.repeat(11) })
    t.equal(code, 1)
    t.match(stderr, /^oneloop: the server closed the connection with 1009.* after 0 answers\n$/)
  })

  await t.test('wait for their own input as long as it takes', async (t) => {
    await Promise.all([['echo', at('echo'), '--raw'], ['sink', at('sink')], ['ws', at('http')]].map(async (args) => {
      const child = launch([...args, '--timeout', '0.3'])
      let stdout = ''
      child.stdout?.setEncoding('utf8').on('data', (text: string) => { stdout += text })
      // Two pauses longer than the timeout: before the first input, and within it.
      const timers = [setTimeout(() => child.stdin?.write('a\n'), 900), setTimeout(() => child.stdin?.end('b\n'), 1500)]
      child.stdin?.on('error', () => {})
      const [code] = await once(child, 'close')
      timers.forEach(clearTimeout)
      t.equal(code, 0, args.join(' '))
      t.match(stdout, /^a\nb\n$|4 bytes|'a'\nReceived 'b'/)
    }))
    const open = launch(['ws', at('http'), '--path', '/ws/time', '--count', '1'])
    const [code] = await once(open, 'exit')
    t.equal(code, 0, 'and no longer than they need')
  })

  await t.test('end quietly when nobody reads their output', async (t) => {
    const child = spawn('sh', ['-c', `${PROGRAM.join(' ')} echo ${at('echo')} --raw | head -c 5`], { cwd: ROOT, env: ENV })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { output += text })
    child.stdin.on('error', () => {}).end('x'.repeat(4_000_000))
    await once(child, 'close')
    t.equal(output, 'xxxxx')
  })

  await t.test('check asks every service, and its exit code says whether all answered', async (t) => {
    const { code, stdout } = await run(['check', at('http')])
    t.equal(code, 0)
    for (const { name, port } of server.app.endpoints) t.match(stdout, new RegExp(`^  ${name} +\\w+ +${port} +ok +[\\d.]+ ms$`, 'm'))

    const partly = await serverFor(t, { ECHO_ONCE_PORT: 'off' })
    const { host, port } = partly.target('http')
    // The server lists the port as open, but nobody listens there, as with an unpublished port or a firewall.
    partly.endpoint('greeting').location.port = 1
    const failed = await run(['check', `${host}:${port}`, '--json'])
    t.equal(failed.code, 1)
    const report = JSON.parse(failed.stdout) as { ok: boolean, services: { name: string }[] }
    t.equal(report.ok, false)
    t.match(report.services.find(({ name }) => name === 'greeting'), { result: 'failed', message: /connection refused/ })
    t.match(report.services.find(({ name }) => name === 'echo-once'), { result: 'off' })
  })

  await t.test('check says which limit refused it, and whether it is the limit for one address or for all', async (t) => {
    const small = await serverFor(t, { TCP_MAX_PER_ADDRESS: '1', UDP_BURST: '1', UDP_RATE: '1', WS_MAX_PER_ADDRESS: '1', HTTP_BURST: '30', HTTP_RATE: '1' })
    const socket = await connectWebSocket({ ...small.target('http'), path: '/ws/echo' }, { timeoutMs: TIMEOUT_MS })
    const holder = await connect(small.target('echo'), { allowHalfOpen: true })
    const args = ['check', `127.0.0.1:${small.target('http').port}`, '--timeout', '1']
    const { code, stdout } = await run(args)
    t.equal(code, 1)
    t.match(stdout, /^ {2}ws-time .* failed +refused: this machine has used up the server's limit for one address \(WS_MAX_PER_ADDRESS\)$/m)
    t.match(stdout, /^ {2}echo .* failed +refused: this machine has used up the server's limit for one address \(TCP_MAX_PER_ADDRESS\)$/m)
    t.match(stdout, /^ {2}time .* ok /m)
    holder.destroy()
    socket.close()
    // A flood uses up the rate. A check may still get the one request of a second, and then goes on.
    const state = { isOver: false }
    const flood = (async () => { while (!state.isOver) await (await fetch(`http://127.0.0.1:${small.target('http').port}/`)).text() })()
    let told = ''
    for (let tries = 0; tries < 10 && !told.includes('429'); tries++) told = (await run(args)).stderr
    state.isOver = true
    await flood
    t.match(told, /^oneloop: 127\.0\.0\.1:\d+ turned this machine away with 429: more than 1 requests a second from one address \(HTTP_RATE\): try again in 1 s\n$/)
  })

  await t.test('check exits with 0 if a default port was skipped', async (t) => {
    const partly = await serverFor(t)
    partly.endpoint('time').location.state = 'busy'
    const { code, stdout } = await run(['check', `127.0.0.1:${partly.target('http').port}`])
    t.equal(code, 0)
    t.match(stdout, /^ {2}time .* skipped +its default port is in use by another program$/m)
  })
})
