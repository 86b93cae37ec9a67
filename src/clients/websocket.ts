/** Clients of the WebSocket services. Every promise rejects with a ClientError alone. */
import { connect as connectSocket, type Socket } from 'node:net'
import { WebSocket } from 'ws'
import { formatAddress, withoutZone, type Target } from '../shared/address.ts'
import { ClientError, explain, timedOut } from './client-error.ts'

export interface WebSocketTarget extends Target { readonly path: string }

export interface Message { readonly data: Buffer, readonly isBinary: boolean }

export interface ConnectOptions {
  readonly timeoutMs: number
  /** Told of every message: from here, because the first may arrive together with the server's handshake. */
  readonly onMessage?: (message: Message) => void
  /** Told of the TCP connection, once the server has agreed to the upgrade. */
  readonly onSocket?: (socket: Socket) => void
}

/** Resolves to an open WebSocket. */
export function connect (target: WebSocketTarget, { timeoutMs, onMessage, onSocket }: ConnectOptions): Promise<WebSocket> {
  const { host, port, path } = target
  return new Promise((resolve, reject) => {
    // No URL takes the zone of a link-local address, such as fe80::1%eth0.
    const createConnection = () => connectSocket({ host, port })
    const socket = new WebSocket(`ws://${formatAddress(withoutZone(host), port)}${path}`, { perMessageDeflate: false, createConnection })
    const timer = setTimeout(() => { reject(timedOut(target, timeoutMs)); socket.terminate() }, timeoutMs)
    if (onMessage) socket.on('message', (data, isBinary) => onMessage({ data: data as Buffer, isBinary }))
    if (onSocket) socket.once('upgrade', (response) => onSocket(response.socket))
    // Stays attached: a later error is followed by 'close', which is where users of the socket learn of it.
    socket.on('error', (error) => { clearTimeout(timer); reject(explain(error, 'cannot connect to', target)) })
    socket.once('unexpected-response', (_request, response) => {
      clearTimeout(timer)
      response.resume()
      reject(new ClientError('ERR_NO_WEBSOCKET', `cannot connect to ${socket.url}: the server answered ${response.statusCode} ${response.statusMessage}. Try the path /ws/echo`))
      socket.terminate()
    })
    socket.once('open', () => { clearTimeout(timer); resolve(socket) })
  })
}

/** Connects, sends the message if there is one, takes the first answer, and closes with 1000. */
export async function ask (target: WebSocketTarget, message: Uint8Array | string | undefined, { timeoutMs }: { timeoutMs: number }): Promise<Message> {
  const messages: Message[] = []
  await converse(target, { timeoutMs, count: 1, onMessage: (one) => messages.push(one), ...(message !== undefined && { send: [message] }) })
  return messages[0] as Message
}

export interface Conversation {
  readonly timeoutMs: number
  readonly send?: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>
  /** After so many answers the client closes; where it is missing, after as many as it sent. */
  readonly count?: number
  readonly onMessage: (message: Message) => void
}

/** Connects, sends the messages, takes the answers, closes with 1000. That the server closes before is an error. */
export async function converse (target: WebSocketTarget, { timeoutMs, send = [], count, onMessage }: Conversation): Promise<void> {
  let answers = 0
  let wanted = count ?? Infinity
  let heard = () => {}
  const socket = await connect(target, {
    timeoutMs,
    onMessage (message) {
      if (answers >= wanted) return
      answers++
      onMessage(message)
      heard()
    }
  })
  return await new Promise((resolve, reject) => {
    let sent = 0
    const fail = (error: Error) => { reject(error); socket.terminate() }
    // The server is waited for only where it owes an answer: our own input may take its time.
    const timer = setInterval(() => { if (wanted !== Infinity || sent > answers) fail(timedOut(target, timeoutMs)) }, timeoutMs)
    const closeIfDone = () => { if (answers >= wanted) socket.close(1000) }
    heard = () => {
      timer.refresh()
      closeIfDone()
    }
    socket.once('close', (code, reason) => {
      clearInterval(timer)
      if (answers >= wanted) resolve()
      else reject(new ClientError('ERR_CLOSED', `the server closed the connection with ${code}${reason.length > 0 ? ` ${reason}` : ''} after ${answers} of its answers`))
    })
    const sendAll = async () => {
      for await (const message of send) {
        if (socket.readyState !== WebSocket.OPEN) return
        await new Promise((resolve) => { socket.send(message, resolve) })
        sent++
        timer.refresh()
      }
      if (count === undefined) wanted = sent
      closeIfDone()
    }
    sendAll().catch(fail)
    // The answers may have come with the handshake.
    closeIfDone()
  })
}
