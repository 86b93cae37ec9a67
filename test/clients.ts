/** Well-behaved clients: one of each protocol, many at once, and a light one that asks every service at its own pace. */
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import type { Test } from 'tap'
import type { WebSocket } from 'ws'
import { check, type Checked, type Listed } from '../src/clients/check.ts'
import { get } from '../src/clients/http.ts'
import { ask as askTcp } from '../src/clients/tcp.ts'
import { sendDatagram } from '../src/clients/udp.ts'
import { ask as askWebSocket } from '../src/clients/websocket.ts'
import { wsEcho } from '../src/routes/ws-echo.ts'
import { WS_FEED } from '../src/routes/ws-feed.ts'
import { WS_LOOP } from '../src/routes/ws-loop.ts'
import { wsTime } from '../src/routes/ws-time.ts'
import type { Target } from '../src/shared/address.ts'
import { rawServices } from '../src/sockets/index.ts'
import { connect, TIMEOUT_MS } from './support.ts'

const options = { timeoutMs: TIMEOUT_MS }

/** The address of a service. */
export type Find = (name: string) => Target

/** A new client of each protocol gets its answer. */
export async function answersAll (t: Test, target: Find, when: string): Promise<void> {
  const text = Buffer.from('Hello')
  const answers = await Promise.all([
    get(target('http'), '/healthz', TIMEOUT_MS).then(({ status }) => String(status)),
    askWebSocket({ ...target('http'), path: '/ws/echo' }, text, options).then(({ data }) => String(data)),
    askTcp(target('echo'), { send: text, ...options }).then(String),
    sendDatagram(target('udp-echo'), text, options).then(String)
  ])
  t.same(answers, ['200', 'Hello', 'Hello', 'Hello'], `all four protocols answer ${when}`)
}

/** Whether a client is answered; false if it is closed instead. */
export function isAnswered (socket: Socket): Promise<boolean> {
  return new Promise((resolve) => { socket.once('data', () => resolve(true)).once('close', () => resolve(false)) })
}

/** Connects a number of clients at once, and counts the answered ones. The others must be closed, not left waiting. */
export async function countAnswered (target: Target, clients: number): Promise<{ answered: number, sockets: Socket[] }> {
  const sockets: Socket[] = []
  const answers = await Promise.all(Array.from({ length: clients }, async () => {
    const socket = await connect(target)
    sockets.push(socket)
    socket.write('x')
    return await isAnswered(socket)
  }))
  return { answered: answers.filter(Boolean).length, sockets }
}

export const closeAll = (sockets: Iterable<Socket>) => { for (const socket of sockets) socket.destroy() }

/** The socket below a WebSocket client, to write bytes that no library would. */
export const rawSocket = (socket: WebSocket) => (socket as unknown as { _socket: Socket })._socket

const KNOWN = [...rawServices, wsEcho, wsTime(), WS_FEED, WS_LOOP]
/** Time between two rounds of the light client. */
const ROUND_MS = 100

/** Asks every service at the same time, so that a slow one does not hold up the others. */
export async function askAll (listed: readonly Listed[]): Promise<Checked[]> {
  const checked = await Promise.all(listed.map((row) => check('127.0.0.1', [row], KNOWN, { timeoutMs: TIMEOUT_MS })))
  return checked.flat()
}

/** Asks every service repeatedly until `over` is fulfilled. Returns the number of rounds and the wrong answers. */
export async function askMeanwhile (listed: readonly Listed[], over: Promise<unknown>): Promise<{ rounds: number, wrong: Checked[] }> {
  const state = { isOver: false }
  const ended = over.finally(() => { state.isOver = true })
  // Awaited below: an earlier failure must not count as unhandled.
  ended.catch(() => {})
  const wrong: Checked[] = []
  let rounds = 0
  do {
    const [checked] = await Promise.all([askAll(listed), delay(ROUND_MS)])
    wrong.push(...checked.filter(({ result }) => result !== 'ok'))
    rounds++
  } while (!state.isOver)
  await ended
  return { rounds, wrong }
}
