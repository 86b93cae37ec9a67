/** The servers that the bench measures: oneloop, its peers, and any other by its URL. */
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { program, ROOT, start } from './children.ts'
import type { Load, Protocol } from './load/job.ts'

const START_MS = 20_000
const HOST = '127.0.0.1'

export class UsageError extends Error {}

export interface Running {
  /** 0 if the process is not ours. */
  readonly pid: number
  readonly urls: Partial<Record<Protocol, string>>
  stop (): Promise<void>
}

export interface Target {
  readonly name: string
  readonly description: string
  readonly provides: readonly Protocol[]
  /**
   * @param pin words before the command that pin it to a CPU.
   * @param hold the idle connections that the server has to hold.
   * @param isLimited whether oneloop runs with its default limits.
   */
  start (pin: readonly string[], hold?: Load, isLimited?: boolean): Promise<Running>
}

type Ports = Partial<Record<Protocol, number>>
const ALL: readonly Protocol[] = ['http', 'ws', 'tcp', 'time', 'udp']
const version = (name: string) => (JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')) as { version: string }).version

/** Starts a server, and waits until its output names the ports. */
async function launch (words: readonly string[], env: NodeJS.ProcessEnv, httpPath: string, portsIn: (output: string) => Ports | undefined): Promise<Running> {
  const { pid, output, isAlive, ended, stop } = start(words, env)
  for (const until = performance.now() + START_MS; performance.now() < until && isAlive(); await delay(20)) {
    const ports = portsIn(output())
    if (!ports) continue
    const urls = Object.fromEntries(Object.entries(ports).map(([protocol, port]) => [protocol, `${protocol}://${HOST}:${port}${protocol === 'http' ? httpPath : ''}`]))
    return { pid, urls: { ...urls, ws: `ws://${HOST}:${ports.http}/ws/echo` }, stop }
  }
  await stop()
  throw new Error(`it did not start: ${await ended ?? 'it ended'}`)
}

const SERVICES: Readonly<Record<string, Protocol>> = { http: 'http', echo: 'tcp', time: 'time', 'udp-echo': 'udp' }

/** oneloop's log has a line for each address of a service. */
function loggedPorts (output: string): Ports | undefined {
  const ports: Ports = {}
  for (const line of output.split('\n').slice(0, -1).filter((one) => one.includes('"listening"'))) {
    const { service, port } = JSON.parse(line) as { service: string, port: number }
    const protocol = SERVICES[service]
    if (protocol) ports[protocol] ??= port
  }
  return Object.values(SERVICES).every((protocol) => ports[protocol]) ? ports : undefined
}

const OFF = Object.fromEntries(['ECHO_ONCE', 'GREETING', 'EXCHANGE', 'SINK', 'LISTENER'].map((name) => [`${name}_PORT`, 'off']))
const FREE = Object.fromEntries(['HTTP', 'ECHO', 'TIME', 'UDP_ECHO'].map((name) => [`${name}_PORT`, '0']))

/** Explicit limits, because defaults are lowered to fit the file descriptors. Connections that are not held get few. */
const capsFor = ({ protocol, connections }: Load): NodeJS.ProcessEnv => ({
  HTTP_MAX_CONNECTIONS: '500',
  WS_MAX_CONNECTIONS: protocol === 'ws' ? String(connections + 600) : '100',
  TCP_MAX_CONNECTIONS: protocol === 'tcp' ? String(connections + 600) : '100'
})

/** The arguments that `npm start` gives to node. */
const START = (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { scripts: { start: string } }).scripts.start.split(' ').slice(1)

const oneloop: Target = {
  name: 'oneloop',
  description: 'this checkout, as npm start starts it',
  provides: ALL,
  start: (pin, hold, isLimited) => {
    const env = { HOST, ...OFF, ...FREE, ...(!isLimited && { PROFILE: 'bench' }), ...(hold && capsFor(hold)) }
    return launch([...pin, process.execPath, ...START], env, '/healthz', loggedPorts)
  }
}

const printedPorts = (output: string) => output.includes('\n') ? JSON.parse(output.slice(0, output.indexOf('\n'))) as Ports : undefined

const nodePeer = (name: 'node' | 'fastify', description: string): Target => ({
  name,
  description,
  provides: ALL,
  start: (pin) => launch([...pin, process.execPath, program('node'), name], {}, '/', printedPorts)
})

/** Tries Debian's python3 first: another one in the path may lack Tornado. */
const python = ['/usr/bin/python3', 'python3'].find((file) => spawnSync(file, ['-c', 'import tornado']).status === 0)

const tornado: Target = {
  name: 'tornado',
  description: 'Tornado, and UDP by asyncio',
  provides: ALL,
  start: (pin) => launch([...pin, python ?? '', 'bench/peers/tornado_server.py'], {}, '/', printedPorts)
}

export const targets: readonly Target[] = [
  oneloop,
  nodePeer('node', `bare node:http, ws ${version('ws')}, node:net, node:dgram`),
  nodePeer('fastify', `bare Fastify ${version('fastify')} with @fastify/websocket ${version('@fastify/websocket')}, node:net, node:dgram`),
  ...(python ? [tornado] : [])
]

/** A server that is running already: it is measured from outside, without its CPU time and memory. */
export function targetAgainst (text: string): Target {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const protocol = (['http', 'ws', 'tcp', 'udp'] as const).find((one) => `${one}:` === url?.protocol)
  if (!url?.hostname || !protocol || (['tcp', 'udp'].includes(protocol) && !url.port)) {
    throw new UsageError(`--against takes http://HOST, ws://HOST, tcp://HOST:PORT or udp://HOST:PORT, not ${text}`)
  }
  return { name: text, description: 'CPU time and memory are unknown', provides: [protocol], start: async () => ({ pid: 0, urls: { [protocol]: text }, stop: async () => {} }) }
}
