/** Whom the bench measures: oneloop and its peers, how each is started, and why one cannot be. */
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { scratchDirectory, start, type Child } from './children.ts'
import { compiled, found, output } from './programs.ts'
import type { EndpointName } from './scenarios.ts'

const START_MS = 20_000
const HOST = '127.0.0.1'

export interface Endpoint { readonly host: string, readonly port: number, readonly path: string }
export type Endpoints = Partial<Record<EndpointName, Endpoint>>

export interface Running {
  /** 0 where the process is not ours. */
  readonly pid: number
  readonly endpoints: Endpoints
  isAlive (): boolean
  stop (): Promise<void>
}

/** Idle connections that a server is to hold. */
export interface HoldRequest { readonly endpoint: EndpointName, readonly connections: number }

export interface Target {
  readonly name: string
  readonly description: string
  readonly provides: readonly EndpointName[]
  /** Why it cannot be measured here. */
  missing (): string | undefined
  version (): string
  start (pin: readonly string[], hold?: HoldRequest): Promise<Running>
}

const RAW = ['echo', 'time', 'sink', 'udp'] as const
const file = (name: string) => fileURLToPath(new URL(name, import.meta.url))
const versionIn = (manifest: string) => (JSON.parse(readFileSync(file(manifest), 'utf8')) as { version: string }).version
const packageVersion = (name: string) => versionIn(`../node_modules/${name}/package.json`)

/** Looks at what the process prints until that tells its ports. */
async function ready (name: string, child: Child, portsIn: (printed: string) => Partial<Record<EndpointName, number>> | undefined): Promise<Running> {
  const isAlive = () => child.process.exitCode === null && child.process.signalCode === null
  for (const until = performance.now() + START_MS; performance.now() < until && isAlive(); await delay(20)) {
    const ports = portsIn(child.stdout())
    if (!ports) continue
    const path = (endpoint: string) => endpoint === 'ws' ? '/ws/echo' : endpoint === 'http' && name === 'oneloop' ? '/healthz' : '/'
    const all = { ...ports, ...(ports.http && { ws: ports.http }), ...(name === 'oneloop' && { page: ports.http }) }
    const endpoints = Object.fromEntries(Object.entries(all).map(([endpoint, port]) => [endpoint, { host: HOST, port, path: path(endpoint) }])) as Endpoints
    return { pid: child.pid, endpoints, isAlive, stop: () => child.stop() }
  }
  const why = child.stderr().trim().split('\n').at(-1) || child.stdout().trim().split('\n').at(-1) || 'no word from it'
  await child.stop()
  throw new Error(`${name} did not start: ${why}`)
}

const portsLine = (printed: string) => printed.includes('\n') ? JSON.parse(printed.split('\n')[0] ?? '') as Partial<Record<EndpointName, number>> : undefined

/** oneloop's log lines → the ports of the services that are measured. */
function portsOfLog (printed: string): Partial<Record<EndpointName, number>> | undefined {
  const services: Record<string, EndpointName> = { http: 'http', echo: 'echo', time: 'time', sink: 'sink', 'udp-echo': 'udp' }
  const lines = printed.split('\n').filter((line) => line.includes('"msg":"listening"') && line.endsWith('}')).map((line) => JSON.parse(line) as { service: string, port: number })
  const ports = Object.fromEntries(lines.flatMap(({ service, port }) => services[service] ? [[services[service], port]] : [])) as Partial<Record<EndpointName, number>>
  // They listen one after another, UDP last.
  return ports.http && ports.udp ? ports : undefined
}

const OFF = Object.fromEntries(['ECHO_ONCE', 'GREETING', 'EXCHANGE', 'LISTENER'].map((service) => [`${service}_PORT`, 'off']))
const ON = Object.fromEntries(['HTTP', 'ECHO', 'TIME', 'SINK', 'UDP_ECHO'].map((service) => [`${service}_PORT`, '0']))

/** Set by hand, as what nobody sets is lowered to fit the descriptors; the services that are not held have few. */
function capsFor ({ endpoint, connections }: HoldRequest): NodeJS.ProcessEnv {
  const room = String(connections + 20)
  return endpoint === 'ws'
    ? { HTTP_MAX_CONNECTIONS: '128', WS_MAX_CONNECTIONS: room, TCP_MAX_CONNECTIONS: '10' }
    : { HTTP_MAX_CONNECTIONS: '20', WS_MAX_CONNECTIONS: '20', TCP_MAX_CONNECTIONS: room, TIME_PORT: 'off', SINK_PORT: 'off' }
}

const oneloop: Target = {
  name: 'oneloop',
  description: 'this checkout as `npm start` starts it, PROFILE=bench',
  provides: ['http', 'page', 'ws', ...RAW],
  missing: () => undefined,
  version: () => versionIn('../package.json'),
  start: (pin, hold) => ready('oneloop', start([...pin, process.execPath, '--max-semi-space-size=8', 'dist/cli.js', 'serve'], { env: { PROFILE: 'bench', HOST, ...ON, ...OFF, ...(hold && capsFor(hold)) } }), portsOfLog)
}

const nodePeer = (name: string, description: string, script: string, version: () => string): Target => ({
  name,
  description,
  provides: ['http', 'ws', ...RAW],
  missing: () => undefined,
  version,
  start: (pin) => ready(name, start([...pin, process.execPath, file(script)]), portsLine)
})

/** A python3 of another origin than Debian's packages may come first in the path. */
const python = () => ['/usr/bin/python3', 'python3'].find((program) => output(program, '-c', 'import tornado') !== undefined)

const tornado: Target = {
  name: 'tornado',
  description: 'Tornado, and UDP by asyncio',
  provides: ['http', 'ws', 'echo', 'time', 'udp'],
  missing: () => python() ? undefined : 'no Python that has Tornado (python3-tornado)',
  version: () => output(python() ?? '', '-c', 'import sys, tornado; print(tornado.version + " on Python " + sys.version.split()[0])') ?? '',
  start: (pin) => ready('tornado', start([...pin, python() ?? '', file('peers/tornado_server.py')]), portsLine)
}

async function freePort (): Promise<number> {
  const server = createServer().listen(0, HOST)
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}

async function answers (port: number): Promise<boolean> {
  try {
    return (await fetch(`http://${HOST}:${port}/`)).ok
  } catch {
    return false
  }
}

const nginx: Target = {
  name: 'nginx',
  description: 'one process, no access log',
  provides: ['http'],
  missing: () => found('nginx') ? undefined : 'no nginx',
  version: () => output('nginx', '-v')?.split('/')[1] ?? '',
  async start (pin) {
    const directory = scratchDirectory()
    const port = await freePort()
    writeFileSync(join(directory, 'nginx.conf'), readFileSync(file('peers/nginx.conf'), 'utf8').replace('PORT', String(port)))
    const child = start([...pin, 'nginx', '-e', 'stderr', '-p', `${directory}/`, '-c', 'nginx.conf'])
    let isUp = false
    const poll = (async () => { while (!isUp && child.process.exitCode === null) { isUp = await answers(port); await delay(20) } })()
    const running = await ready('nginx', child, () => isUp ? { http: port } : undefined)
    await poll
    const { http } = running.endpoints
    return { ...running, endpoints: http ? { http } : {} }
  }
}

const c: Target = {
  name: 'c',
  description: 'the least it can cost: a small epoll server in C',
  provides: ['http', 'ws', ...RAW],
  missing: () => process.platform !== 'linux' ? 'epoll is Linux' : found('gcc') ? undefined : 'no gcc',
  version: () => output('gcc', '--version')?.split('\n')[0] ?? '',
  start: (pin) => ready('c', start([...pin, compiled('peers/server.c')]), portsLine)
}

export const targets: readonly Target[] = [
  oneloop,
  nodePeer('node', 'bare node:http, ws, node:net, node:dgram', 'peers/node.mjs', () => `Node.js ${process.version}, ws ${packageVersion('ws')}`),
  nodePeer('fastify', 'bare Fastify and @fastify/websocket, node:net, node:dgram', 'peers/fastify.mjs', () => `${packageVersion('fastify')}, @fastify/websocket ${packageVersion('@fastify/websocket')}`),
  tornado,
  nginx,
  c
]
