/** Tutorial clients on a machine like Debian's and Ubuntu's, whose name resolves to 127.0.1.1. */
import { execFile, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { ENV, PROGRAM, ROOT, TIMEOUT_MS, until, without } from '../support.ts'

const run = promisify(execFile)

const folder = mkdtempSync(join(tmpdir(), 'oneloop-'))
t.teardown(() => rmSync(folder, { recursive: true }))
const hosts = join(folder, 'hosts')
writeFileSync(hosts, '127.0.0.1 localhost\n127.0.1.1 debian\n::1 localhost ip6-localhost ip6-loopback\n')

/** A separate machine with its own name, /etc/hosts and network, so that every default port is free. */
const MACHINE = ['unshare', '-m', '-u', '-n', 'sh', '-c', `hostname debian && ip link set lo up && mount --bind '${hosts}' /etc/hosts && exec "$@"`, 'sh'] as const
const [command, ...args] = MACHINE
const skip = without('python3', 'ip', 'nsenter') ||
  (!spawnSync(command, [...args, 'getent', 'hosts', 'debian'], { env: { PATH: ENV.PATH } }).stdout?.toString().includes('127.0.1.1') && 'no right to set such a machine up')

/** Connects like tutorials, to a host and ports written in the source. */
const client = (host: string) => `
import socket
import urllib.request
HOST = ${host}

s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
s.connect((HOST, 9999))
print('The time got from the server is', s.recv(1024).decode('ascii').strip())
s.close()

for port in (12345, 65432):
    s = socket.create_connection((HOST, port))
    s.sendall(b'Hello, world')
    print('Received', repr(s.recv(1024)))
    s.close()

s = socket.socket()
s.connect((HOST, 50675))
print(s.recv(1024).decode())
s.close()

s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.sendto(b'Hello, world', (HOST, 12347))
print('Received', repr(s.recvfrom(1024)[0]))
s.close()

print(urllib.request.urlopen('http://%s:5001/healthz' % HOST).read().decode())
`

const SHOWN = `The time got from the server is TIME
Received b'Hello, world'
Received b'Hello, world'
Thank you for connecting with the socket
Received b'Hello, world'
{"status":"ok"}
`

t.test('Python clients reach a server with default settings by gethostname(), 127.0.0.4 and localhost', { skip }, async (t) => {
  const server = spawn(command, [...args, ...PROGRAM, 'serve'], { cwd: ROOT, env: { PATH: ENV.PATH } })
  t.teardown(() => { server.kill('SIGKILL') })
  let log = ''
  server.stdout.setEncoding('utf8').on('data', (text: string) => { log += text })
  await until(() => log.includes('"service":"udp-echo"'), 'it listens')
  for (const host of ['socket.gethostname()', "'127.0.0.4'", "'localhost'"]) {
    const { stdout } = await run('nsenter', ['-t', String(server.pid), '-m', '-u', '-n', 'python3', '-c', client(host)], { timeout: TIMEOUT_MS })
    t.equal(stdout.replace(/\w{3} \w{3} [ \d]\d [\d:]{8} \d{4}/, 'TIME'), SHOWN, host)
  }
  t.match(log, '"addresses":["127.0.0.1","::1","127.0.0.4","127.0.1.1"]')
})
