/** Starts servers on free ports, in this process or in another, and waits for conditions without guessing times. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { connect as connectSocket, type Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { pino } from 'pino'
import type { Test } from 'tap'
import type { Target } from '../src/shared/address.ts'
import { buildApp, type App } from '../src/app.ts'
import { loadConfig, type Values } from '../src/config/config.ts'
import type { Endpoint } from '../src/traffic/endpoint.ts'
import type { FeedEvent } from '../src/shared/messages.ts'
import { start } from '../src/server.ts'
import type { RawService } from '../src/service.ts'
import { portVariable } from '../src/config/settings.ts'
import { rawServices } from '../src/sockets/index.ts'

/** Longest wait for anything that a test expects, even on a busy machine. */
export const TIMEOUT_MS = 30_000

/** Gives every service as many free ports as it has default ports. */
export const FREE_PORTS: Values = Object.fromEntries([
  ['HTTP_PORT', '0'],
  ...rawServices.map(({ name, ports }) => [portVariable(name), ports.map(() => '0').join(',')])
])

/** A busy machine must not make the server turn requests away. */
const UNHURRIED: Values = { SHED_DELAY_MS: '60000' }

/** Logs every line: tests look for the lines of their own clients, which share one address. */
export const TALKATIVE: Values = { LOG_RATE: '1000000', LOG_BURST: '1000000' }

export interface LogLine { level: number, msg: string, service?: string, [key: string]: unknown }

export interface TestServer {
  readonly app: App
  readonly log: LogLine[]
  readonly events: FeedEvent[]
  /** Ends the subscription of `events`, for tests of a feed that nobody watches. */
  unsubscribe (): void
  endpoint (name: string): Endpoint
  target (name: string): Target
}

/** Starts a server that is closed at the end of the test. */
export async function serverFor (t: Test, settings: Values = {}): Promise<TestServer> {
  const log: LogLine[] = []
  const logger = pino({ level: settings.LOG_LEVEL ?? 'debug' }, { write: (line: string) => { log.push(JSON.parse(line) as LogLine) } })
  const app = await start(loadConfig({}, { ...FREE_PORTS, ...UNHURRIED, ...TALKATIVE, DRAIN_MS: '2000', ...settings }), logger)
  const events: FeedEvent[] = []
  const unsubscribe = app.feed.subscribe((event) => events.push(event))
  t.teardown(async () => {
    unsubscribe()
    await app.close()
  })
  const endpoint = (name: string) => {
    const found = app.endpoints.find((one) => one.name === name)
    if (!found) throw new Error(`no endpoint ${name}`)
    return found
  }
  return { app, log, events, unsubscribe, endpoint, target: (name) => ({ host: '127.0.0.1', port: endpoint(name).port ?? 0 }) }
}

/** An app with only these services, each on a free port. */
export async function appOf (t: Test, services: readonly RawService[], settings: Values = {}, log: { level: number, msg: string }[] = []): Promise<App> {
  const config = loadConfig({}, { ...FREE_PORTS, ...settings })
  const ports = Object.fromEntries(services.map(({ name }) => [name, { variable: portVariable(name), ports: [0], isSet: true }]))
  const app = await buildApp({ ...config, ports: { ...config.ports, ...ports } }, pino({}, { write: (line: string) => { log.push(JSON.parse(line)) } }), { services })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** Polls until `condition` holds; fails after TIMEOUT_MS. */
export async function until (condition: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const deadline = performance.now() + TIMEOUT_MS
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`waited in vain: ${what}`)
    await delay(5)
  }
}

/** Waits until `read` returns the same value for 300 ms: the only way to see that something has stopped. */
export async function settled (read: () => number): Promise<number> {
  for (let last = read(), still = 0; ;) {
    await delay(20)
    const now = read()
    still = now === last ? still + 1 : 0
    last = now
    if (still === 15) return now
  }
}

/** A connected socket that ignores errors. */
export async function connect (target: Target, options: { allowHalfOpen?: boolean } = {}): Promise<Socket> {
  const socket = connectSocket({ host: target.host, port: target.port, noDelay: true, ...options })
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

/** A WebSocket's opening handshake, on the wire. */
export const handshake = (path: string, headers = '') =>
  `GET ${path} HTTP/1.1\r\nHost: oneloop\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${headers}\r\n`

/** Everything that a socket receives until it ends or closes; fails if neither happens within TIMEOUT_MS. */
export async function readAll (socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk) => chunks.push(chunk))
  await new Promise<unknown>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('waited in vain: the connection ends')), TIMEOUT_MS)
    socket.once('end', resolve).once('close', resolve).once('close', () => clearTimeout(timer)).once('end', () => clearTimeout(timer))
  })
  return Buffer.concat(chunks)
}

/** Why a test that needs these programs is skipped; false if all are there, and in CI, where the test must fail instead. */
export function without (...programs: string[]): string | false {
  const missing = programs.filter((program) => spawnSync('which', [program]).status !== 0)
  return process.env.CI === undefined && missing.length > 0 && `without ${missing.join(', ')}`
}

export const ROOT = new URL('..', import.meta.url)
/** The built program; `npm test` builds it first. */
export const PROGRAM = [process.execPath, 'dist/cli.js'] as const
const { NODE_OPTIONS: _tapsOwn, ...rest } = process.env
/** The environment without tap's loader, which the program does not need. */
export const ENV: NodeJS.ProcessEnv = rest

export interface LaunchOptions {
  readonly uid?: number | undefined
  /** Shell commands that run first: `ulimit -n 64`. */
  readonly before?: string
  /** Options of Node.js, before the program's name. */
  readonly node?: readonly string[]
}

export function launch (args: readonly string[], env: NodeJS.ProcessEnv = {}, { uid, before = ':', node = [] }: LaunchOptions = {}): ChildProcess {
  const [program, script] = PROGRAM
  // tap sets NODE_OPTIONS for every process; the program starts faster without them.
  const shell = ['-c', `unset NODE_OPTIONS; ${before}; exec "$@"`, 'sh', program, ...node, script, ...args]
  return spawn('sh', shell, { cwd: ROOT, env: { ...ENV, ...env }, ...(uid !== undefined && { uid }) })
}

export interface Run { readonly code: number | null, readonly stdout: string, readonly stderr: string }

export async function run (
  args: readonly string[], { input = '', env = {}, ...options }: LaunchOptions & { input?: string | Buffer, env?: NodeJS.ProcessEnv } = {}
): Promise<Run> {
  const child = launch(args, env, options)
  let stdout = ''
  let stderr = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr?.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  child.stdin?.on('error', () => {}).end(input)
  const [code] = await once(child, 'close') as [number | null]
  return { code, stdout, stderr }
}

export interface Served {
  readonly child: ChildProcess
  readonly pid: number
  readonly lines: Record<string, unknown>[]
  port (name: string): number
  target (name: string): Target
}

/** Starts the server in its own process, and collects its log lines. */
export async function serve (t: Test, env: NodeJS.ProcessEnv = {}, options: LaunchOptions = {}): Promise<Served> {
  const child = launch(['serve'], { ...FREE_PORTS, ...UNHURRIED, ...env }, options)
  t.teardown(() => { child.kill('SIGKILL') })
  const lines: Record<string, unknown>[] = []
  let rest = ''
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    // A line that is not JSON throws here and fails the test.
    for (const part of parts) lines.push(JSON.parse(part) as Record<string, unknown>)
  })
  await until(() => lines.some(({ service, msg }) => service === 'udp-echo' && msg === 'listening'), 'the server listens')
  const port = (name: string) => lines.find(({ service, msg }) => service === name && msg === 'listening')?.port as number
  return { child, pid: child.pid ?? 0, lines, port, target: (name) => ({ host: '127.0.0.1', port: port(name) }) }
}
