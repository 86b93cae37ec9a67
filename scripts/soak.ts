/**
 * The soak test: runs the whole app in its own process under mixed clients on every transport, and measures what they leave behind.
 *
 *   npm run soak -- --minutes 30
 *
 * Prints two Markdown tables. Exits with 1 if the app grew, or if a client was not served as promised.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readlinkSync } from 'node:fs'
import { Agent } from 'node:http'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { loadConfig } from '../src/config/config.ts'
import { clients, type Client, type Server } from './soak-clients.ts'

const CLIENTS = 50
const MIB = 1_048_576
const SECOND = 1000
const MINUTE = 60 * SECOND
/** Longest pause between two clients of one place, for about 1,000 clients a second in total. */
const PAUSE_MS = 60
const CLIENT_MS = 30 * SECOND
/** Longest time for the server to notice that all clients are gone. */
const QUIET_MS = 20 * SECOND

/** The measures, in order, and their allowed growth since the warm-up; null for measures that are only shown. */
const ALLOWED = {
  'heap used after a collection, bytes': 3 * MIB,
  'memory outside the heap, including buffers, bytes': 3 * MIB,
  'resident memory, bytes': null,
  'peak resident memory, bytes': null,
  'open sockets': 0,
  'open pipes': 0,
  'other open descriptors': 0,
  timers: 0,
  'TCP connections being opened': 0,
  'other active resources': 0,
  'listeners of the process': 0,
  'listeners of the HTTP server': 0,
  'listeners of the WebSocket server': 0,
  'WebSocket clients': 0,
  'subscribers of the feed (0 or 1)': 0,
  'addresses of the probe': 0,
  'open connections': 0,
  'errors logged': 0
} as const
type Measure = keyof typeof ALLOWED
type Report = Readonly<Record<Measure, number>>

/** The child process: serves, answers each message with a report, and ends on `stop`. */
async function serve (): Promise<void> {
  // Loads the built program: worker threads cannot load TypeScript.
  const { start } = await import(new URL('../dist/server.js', import.meta.url).href) as typeof import('../src/server.ts')
  let errors = 0
  const write = (line: string) => {
    if (!/^\{"level":[56]0/.test(line)) return
    errors++
    console.error(line)
  }
  const freePorts = Object.fromEntries(Object.values(loadConfig().ports).map(({ variable }) => [variable, '0']))
  // The clients' bad requests have headers of more than 16 KiB.
  const app = await start(loadConfig({}, { ...freePorts, PROFILE: 'bench', HTTP_MAX_HEADER_BYTES: '16384' }), pino({ level: 'info' }, { write }))
  const listeners = (emitter: NodeJS.EventEmitter) => emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)

  function descriptors (): string[] {
    return readdirSync('/proc/self/fd').flatMap((fd) => {
      try {
        return [readlinkSync(`/proc/self/fd/${fd}`)]
      } catch {
        // The descriptor of the directory listing itself is closed by now.
        return []
      }
    })
  }

  function report (): Report {
    globalThis.gc?.()
    globalThis.gc?.()
    const memory = process.memoryUsage()
    const files = descriptors()
    const resources = process.getActiveResourcesInfo()
    const timers = resources.filter((name) => name === 'Timeout').length
    const sockets = resources.filter((name) => name === 'TCPSocketWrap').length
    return {
      'heap used after a collection, bytes': memory.heapUsed,
      'memory outside the heap, including buffers, bytes': memory.external,
      'resident memory, bytes': memory.rss,
      'peak resident memory, bytes': process.resourceUsage().maxRSS * 1024,
      'open sockets': files.filter((file) => file.startsWith('socket:')).length,
      'open pipes': files.filter((file) => file.startsWith('pipe:')).length,
      'other open descriptors': files.filter((file) => !/^(socket|pipe):/.test(file)).length,
      timers,
      'TCP connections being opened': sockets,
      'other active resources': resources.filter((name) => name !== 'Immediate').length - timers - sockets,
      'listeners of the process': listeners(process),
      'listeners of the HTTP server': listeners(app.server),
      'listeners of the WebSocket server': listeners(app.websocketServer),
      'WebSocket clients': app.websocketServer.clients.size,
      'subscribers of the feed (0 or 1)': Number(app.feed.isWatched),
      'addresses of the probe': app.loop.probePeers.size,
      'open connections': app.endpoints.reduce((sum, { open }) => sum + open, 0),
      'errors logged': errors
    }
  }

  process.on('message', (message) => {
    if (message === 'stop') {
      app.close().then(() => process.disconnect(), (error) => { throw error })
    } else process.send?.(report())
  })
  process.send?.(Object.fromEntries(app.endpoints.map(({ name, port }) => [name, port])))
}

/** Finished clients by client, and failures by message. */
const done = new Map<Client, number>()
const wrong = new Map<string, number>()
const add = <Key>(map: Map<Key, number>, key: Key) => map.set(key, (map.get(key) ?? 0) + 1)

const WEIGHTS = clients.reduce((sum, { weight }) => sum + weight, 0)
function pick (): Client {
  let at = Math.random() * WEIGHTS
  return clients.find(({ weight }) => (at -= weight) < 0) ?? clients[0] as Client
}

async function runOne (client: Client, server: Server): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => { timer = setTimeout(() => reject(new Error(`not over after ${CLIENT_MS / SECOND} s`)), CLIENT_MS) })
  try {
    await Promise.race([client.run(server), late])
  } catch (error) {
    add(wrong, `${client.transport}, ${client.name}: ${(error as Error).message}`)
  } finally {
    clearTimeout(timer)
    add(done, client)
  }
}

/** Runs clients one after another in each of 50 places, until the time is over and the last client is gone. */
async function churn (server: Omit<Server, 'agent'>, ms: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 10 })
  const until = performance.now() + ms
  await Promise.all(Array.from({ length: CLIENTS }, async () => {
    while (performance.now() < until) {
      await runOne(pick(), { ...server, agent })
      await delay(Math.random() * PAUSE_MS)
    }
  }))
  agent.destroy()
}

async function ask (child: ChildProcess): Promise<Report> {
  child.send('report')
  return (await once(child, 'message'))[0] as Report
}

/** Resolves to the report once the server has forgotten its clients, or after QUIET_MS. */
async function quietReport (child: ChildProcess, wanted: Partial<Report>): Promise<Report> {
  const deadline = performance.now() + QUIET_MS
  for (;;) {
    await delay(SECOND)
    const report = await ask(child)
    const isQuiet = report['open connections'] === 0 && Object.entries(wanted).every(([measure, most]) => report[measure as Measure] <= most)
    if (isQuiet || performance.now() > deadline) return report
  }
}

const number = (value: number) => value.toLocaleString('en')
const row = (...cells: (string | number)[]) => `| ${cells.join(' | ')} |`

async function load (minutes: number): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), ['serve'], { execArgv: [...process.execArgv, '--expose-gc'] })
  const exited = once(child, 'exit')
  // If the server dies, the soak must end and not wait.
  const died = exited.then(([code, signal]) => { throw new Error(`the server ended with ${code ?? signal}`) })
  const [ports] = await Promise.race([once(child, 'message'), died]) as [Record<string, number>]
  const server = { target: (name: string) => ({ host: '127.0.0.1', port: ports[name] ?? 0 }) }
  const began = new Date()

  async function soak (): Promise<[Report, Report]> {
    const total = minutes * MINUTE
    const warmUp = Math.min(MINUTE, total / 10)
    await churn(server, warmUp)
    const first = await quietReport(child, { timers: 0, 'subscribers of the feed (0 or 1)': 0, 'addresses of the probe': 0 })
    const still = Object.fromEntries(Object.entries(ALLOWED).filter(([, allowed]) => allowed === 0).map(([measure]) => [measure, first[measure as Measure]]))
    let last = first
    for (let left = total - warmUp; left > 0; left -= MINUTE) {
      await churn(server, Math.min(left, MINUTE))
      last = await quietReport(child, still)
      console.error(`${new Date().toISOString()} heap ${number(last['heap used after a collection, bytes'])}, resident ${number(last['resident memory, bytes'])}, ` +
        `sockets ${last['open sockets']}, ${[...done.values()].reduce((sum, count) => sum + count, 0)} clients, ${wrong.size} kinds of errors`)
    }
    return [first, last]
  }
  const [first, last] = await Promise.race([soak(), died])
  died.catch(() => {})
  child.send('stop')
  const [code] = await exited

  const measures = Object.entries(ALLOWED) as [Measure, number | null][]
  const grown = measures.filter(([measure, allowed]) => allowed !== null && (allowed === 0 ? last[measure] !== first[measure] : last[measure] - first[measure] > allowed))
  const hasFailed = wrong.size > 0 || grown.length > 0 || last['errors logged'] > 0 || code !== 0
  console.log([
    row('Measure', 'After the warm-up', 'At the end', 'Difference', 'Allowed'),
    row('---', '--:', '--:', '--:', '--:'),
    ...measures.map(([measure, allowed]) => row(measure, number(first[measure]), number(last[measure]), number(last[measure] - first[measure]), allowed === null ? '–' : number(allowed))),
    '',
    row('Transport', 'Client', 'Times'),
    row('---', '---', '--:'),
    ...clients.map((client) => row(client.transport, client.name, number(done.get(client) ?? 0))),
    row('all', '', number([...done.values()].reduce((sum, count) => sum + count, 0))),
    '',
    `Unexpected: ${hasFailed ? '' : 'nothing'}`.trim(),
    ...[...wrong].slice(0, 20).map(([message, count]) => `- ${count} × ${message}`),
    ...(code === 0 ? [] : [`- the server ended with ${code}`]),
    ...grown.map(([measure]) => `- not as it was: ${measure}`),
    '',
    `${minutes} minutes, ${CLIENTS} clients at a time, from ${began.toISOString()}; Node.js ${process.version} on ${cpus().length} × ${cpus()[0]?.model}, ${Math.round(totalmem() / 1024 / MIB)} GiB.`
  ].join('\n'))
  return hasFailed ? 1 : 0
}

if (process.argv[2] === 'serve') await serve()
else {
  const { values } = parseArgs({ options: { minutes: { type: 'string', default: '30' } } })
  const minutes = Number(values.minutes)
  if (!(minutes > 0)) throw new RangeError('--minutes takes a number above 0')
  process.exitCode = await load(minutes)
}
