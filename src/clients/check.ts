/** Asks every service that a server lists, and reports how each one answered. */
import { setTimeout as delay } from 'node:timers/promises'
import { formatAddress, type Target } from '../shared/address.ts'
import type { Example, Service } from '../service.ts'
import { show } from '../shared/printable.ts'
import { ClientError, messageIn } from './client-error.ts'
import { get } from './http.ts'
import * as tcp from './tcp.ts'
import { sendDatagram } from './udp.ts'
import * as websocket from './websocket.ts'

/** The fields of a row of `/api/services` that the check needs. */
export interface Listed {
  readonly name: string
  readonly transport: string
  readonly port: number | null
  readonly state: string
  readonly path?: string
  readonly total?: number
  /** The port is a default; the server has not confirmed it. */
  readonly isGuess?: true
}

/** The fields of a service that a client needs. */
export type Known = Pick<Service, 'name' | 'transport' | 'example'>

export interface Checked {
  readonly name: string
  readonly transport: string
  readonly port: number | null
  /** `skipped`: its default port was in use. `unknown`: this client does not know the service or its port. */
  readonly result: 'ok' | 'failed' | 'skipped' | 'off' | 'unknown'
  /** Milliseconds from the first packet to the whole answer, or to the failure. */
  readonly ms?: number
  readonly message?: string
}

/** The services that the server lists. Rejects with a ClientError. */
export async function listServices (target: Target, timeoutMs: number): Promise<Listed[]> {
  const { status, body } = await get(target, '/api/services', timeoutMs)
  const rows: unknown = status === 200 ? parse(body) : undefined
  if (Array.isArray(rows) && rows.every(isListed)) return rows
  const reason = status === 429 || status === 503 ? messageIn(body) : ''
  if (reason !== '') throw new ClientError('ERR_REFUSED', `${formatAddress(target.host, target.port)} turned this machine away with ${status}${reason}`)
  throw new ClientError('ERR_NOT_ONELOOP', `the server at ${formatAddress(target.host, target.port)} is not oneloop: GET /api/services gave ${status}`)
}

function isListed (row: unknown): row is Listed {
  const { name, transport, port, state } = (row ?? {}) as Partial<Record<keyof Listed, unknown>>
  return [name, transport, state].every((value) => typeof value === 'string') && (port === null || typeof port === 'number')
}

/** Checks the listed services one after another, so that they do not slow each other down. */
export async function check (host: string, listed: readonly Listed[], known: readonly Known[], { timeoutMs, http }: { timeoutMs: number, http?: Target | undefined }): Promise<Checked[]> {
  const results: Checked[] = []
  const before = http && await refusals(http, timeoutMs)
  for (const row of listed) {
    const checked = await checkOne(host, row, known, timeoutMs, http)
    if (checked.result !== 'failed' || !http || !before) results.push(checked)
    else results.push({ ...checked, message: refused(row.name, before, await refusals(http, timeoutMs)) ?? checked.message ?? '' })
  }
  return results
}

/** The server's refusal counters by label: `oneloop_refused_total{service="echo",reason="TCP_MAX_PER_ADDRESS"}`. */
async function refusals (http: Target, timeoutMs: number): Promise<Map<string, string>> {
  const { body } = await get(http, '/metrics', timeoutMs).catch(() => ({ body: '' }))
  return new Map([...body.matchAll(/^(oneloop_refused_total\{.+\}) (\d+)$/gm)].map(([, label = '', count = '']) => [label, count]))
}

/** Names the limit that refused the check, if one of its counters has changed. */
function refused (name: string, before: Map<string, string>, after: Map<string, string>): string | undefined {
  for (const [label, count] of after) {
    const limit = before.get(label) !== count && label.includes(`service="${name}"`) && /reason="(\w+)"/.exec(label)?.[1]
    if (!limit) continue
    return `refused: ${/PER_ADDRESS$|_RATE$/.test(limit) ? "this machine has used up the server's limit for one address" : "the server's limit for all clients is used up"} (${limit})`
  }
}

async function checkOne (host: string, row: Listed, known: readonly Known[], timeoutMs: number, http?: Target): Promise<Checked> {
  const { name, transport, port, state } = row
  const about = { name, transport, port }
  if (state === 'off') return { ...about, result: 'off' }
  if (state === 'busy') return { ...about, result: 'skipped', message: 'its default port is in use by another program' }
  if (port === null) return { ...about, result: 'failed', message: `its state is ${state}` }
  if (port === 0) return { ...about, result: 'unknown', message: 'only its log knows which free port it took' }
  const target = { host, port }
  const started = performance.now()
  try {
    if (transport === 'http') await checkHttp(target, timeoutMs)
    else {
      const service = known.find((one) => one.name === name && one.transport === transport)
      if (!service) return { ...about, result: 'unknown', message: 'this version of oneloop does not know it' }
      if (service.example.answer) expect(service.example, await answerOf(row, target, service.example, timeoutMs))
      else await checkListener(target, service.example, timeoutMs, http, row)
    }
    return { ...about, result: 'ok', ms: since(started) }
  } catch (error) {
    const { code, message } = error as ClientError
    if (row.isGuess && code === 'ERR_ANSWER') return { ...about, result: 'skipped', message: 'another program answers at its default port' }
    return { ...about, result: 'failed', ms: since(started), message }
  }
}

const since = (started: number): number => Number((performance.now() - started).toFixed(3))

async function answerOf ({ transport, path }: Listed, target: Target, { send }: Example, timeoutMs: number): Promise<Buffer | undefined> {
  const message = send === undefined ? undefined : Buffer.from(send)
  switch (transport) {
    case 'tcp': return await tcp.ask(target, { send: message, timeoutMs })
    case 'websocket': return (await websocket.ask({ ...target, path: path ?? '/' }, send, { timeoutMs })).data
    default: return await sendDatagram(target, message ?? Buffer.alloc(0), { timeoutMs })
  }
}

function expect ({ answer }: Example, got: Buffer = Buffer.alloc(0)): void {
  if (!answer?.test(String(got))) throw new ClientError('ERR_ANSWER', `a wrong answer: ${show(got.subarray(0, 100))}`)
}

async function checkHttp (target: Target, timeoutMs: number): Promise<void> {
  const { status } = await get(target, '/healthz', timeoutMs)
  if (status !== 200) throw new ClientError('ERR_ANSWER', `/healthz answered ${status}`)
}

/** Time between two requests for the server's counters: HTTP_RATE allows more. */
const POLL_MS = 50

/** A service that never answers counts its datagrams. Without HTTP, the check only learns that the port is not closed. */
async function checkListener (target: Target, { send = '' }: Example, timeoutMs: number, http: Target | undefined, row: Listed): Promise<void> {
  const deliver = () => sendDatagram(target, Buffer.from(send), { timeoutMs, isAnswered: false })
  if (!http) {
    await deliver()
    return
  }
  const heard = async () => (await listServices(http, timeoutMs)).find((one) => one.name === row.name && one.port === row.port)?.total ?? 0
  const before = await heard()
  await deliver()
  const deadline = performance.now() + timeoutMs
  while (await heard() <= before) {
    if (performance.now() > deadline) throw new ClientError('ETIMEDOUT', 'the server did not count the datagram')
    await delay(POLL_MS)
  }
}

function parse (body: string): unknown {
  try {
    return JSON.parse(body)
  } catch {
    return undefined
  }
}
