/** Asks every service that a server says it has, and says how each one answered. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Target } from '../shared/address.ts'
import type { Example, Service } from '../service.ts'
import { ClientError } from './client-error.ts'
import { get } from './http.ts'
import * as tcp from './tcp.ts'
import { sendDatagram } from './udp.ts'
import * as websocket from './websocket.ts'

/** One row of `/api/services`, as far as the check needs it. */
export interface Listed {
  readonly name: string
  readonly transport: string
  readonly port: number | null
  readonly state: string
  readonly path?: string
  readonly total?: number
}

/** A service, as far as a client needs to know it. */
export type Known = Pick<Service, 'name' | 'transport' | 'example'>

export interface Checked {
  readonly name: string
  readonly transport: string
  readonly port: number | null
  /** `skipped`: its default port was in use; `unknown`: a service that this client does not know, or at a port that it cannot know. */
  readonly result: 'ok' | 'failed' | 'skipped' | 'off' | 'unknown'
  /** From the first packet to the whole answer. */
  readonly ms?: number
  readonly message?: string
}

/** What the server says it serves. Rejects with a ClientError. */
export async function listServices (target: Target, timeoutMs: number): Promise<Listed[]> {
  const { status, body } = await get(target, '/api/services', timeoutMs)
  const rows: unknown = status === 200 ? parse(body) : undefined
  if (!Array.isArray(rows)) throw new ClientError('ERR_NOT_ONELOOP', `what answers on ${target.host}:${target.port} is not oneloop: GET /api/services gave ${status}`)
  return rows as Listed[]
}

/** Checks one listed service after the other, so that no round trip waits for another. */
export async function check (host: string, listed: readonly Listed[], known: readonly Known[], { timeoutMs, http }: { timeoutMs: number, http?: Target | undefined }): Promise<Checked[]> {
  const results: Checked[] = []
  for (const row of listed) results.push(await checkOne(host, row, known, timeoutMs, http))
  return results
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
    return { ...about, result: 'ok', ms: Number((performance.now() - started).toFixed(3)) }
  } catch (error) {
    return { ...about, result: 'failed', message: (error as Error).message }
  }
}

async function answerOf ({ transport, path }: Listed, target: Target, { send }: Example, timeoutMs: number): Promise<Buffer | undefined> {
  const message = send === undefined ? undefined : Buffer.from(send)
  switch (transport) {
    case 'tcp': return await tcp.ask(target, { send: message, timeoutMs })
    case 'websocket': return (await websocket.ask({ ...target, path: path ?? '/' }, send, { timeoutMs })).data
    default: return await sendDatagram(target, message ?? Buffer.alloc(0), { timeoutMs })
  }
}

function expect ({ answer }: Example, got: Buffer | undefined): void {
  if (!answer?.test(String(got))) throw new ClientError('ERR_ANSWER', `a wrong answer: ${JSON.stringify(String(got).slice(0, 100))}`)
}

async function checkHttp (target: Target, timeoutMs: number): Promise<void> {
  const { status } = await get(target, '/healthz', timeoutMs)
  if (status !== 200) throw new ClientError('ERR_ANSWER', `/healthz answered ${status}`)
}

/** How often a server is asked for its counts: less often than its HTTP_RATE allows. */
const POLL_MS = 50

/** A service that never answers has heard us when its own count says so; without HTTP all we learn is that its port is not closed. */
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
