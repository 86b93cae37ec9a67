/** Clients of the WebSocket services. Every promise rejects with a ClientError. */
import { connect as connectSocket, type Socket } from 'node:net'
import { WebSocket } from 'ws'
import { formatAddress, withoutZone, type Target } from '../shared/address.ts'
import { printable, show } from '../shared/printable.ts'
import { ClientError, explain, messageIn, timedOut } from './client-error.ts'

/** Most messages in flight: a client that waits for answers also reads why it is closed. */
const MAX_UNANSWERED = 64
/** Largest body of an answer that refuses the upgrade. */
const MAX_BODY_BYTES = 65_536
const ABNORMAL = 1006

export interface WebSocketTarget extends Target { readonly path: string }

export interface Message { readonly data: Buffer, readonly isBinary: boolean }

export interface ConnectOptions {
  readonly timeoutMs: number
  /**
   * Called for every message. It is an option because the first message may arrive together with the server's handshake.
   * Reading pauses while a returned promise is pending.
   */
  readonly onMessage?: (message: Message) => unknown
  /** Called with the TCP connection, before the handshake. */
  readonly onConnect?: (socket: Socket) => void
  /** Called with the TCP connection once the server has agreed to the upgrade. */
  readonly onSocket?: (socket: Socket) => void
}

/** Resolves to an open WebSocket. */
export function connect (target: WebSocketTarget, { timeoutMs, onMessage, onConnect = () => {}, onSocket }: ConnectOptions): Promise<WebSocket> {
  return new Promise((resolve, reject) => {
    const socket = open(target, onConnect)
    const timer = setTimeout(() => { reject(timedOut(target, timeoutMs)); socket.terminate() }, timeoutMs)
    socket.on('message', (data, isBinary) => {
      const taken = onMessage?.({ data: data as Buffer, isBinary })
      if (!(taken instanceof Promise)) return
      socket.pause()
      taken.then(() => socket.resume(), () => socket.terminate())
    })
    if (onSocket) socket.once('upgrade', (response) => onSocket(response.socket))
    // Stays attached: 'close' follows a later error, and users of the socket listen for that.
    socket.on('error', (error) => { clearTimeout(timer); reject(explain(error, 'cannot connect to', target)) })
    socket.once('unexpected-response', (_request, response) => {
      const { statusCode, statusMessage = '' } = response
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
        if (body.length > MAX_BODY_BYTES) response.destroy()
      })
      response.on('error', () => {}).once('close', () => {
        clearTimeout(timer)
        const hint = statusCode === 404 ? '. Try the path /ws/echo' : ''
        reject(new ClientError('ERR_NO_WEBSOCKET', `cannot connect to ${socket.url}: the server answered ${statusCode} ${printable(statusMessage)}${messageIn(body)}${hint}`))
        socket.terminate()
      })
    })
    socket.once('open', () => { clearTimeout(timer); resolve(socket) })
  })
}

function open ({ host, port, path }: WebSocketTarget, onConnect: (socket: Socket) => void): WebSocket {
  const url = `ws://${formatAddress(withoutZone(host), port)}${path}`
  try {
    // A URL cannot contain the zone of a link-local address, such as fe80::1%eth0.
    const createConnection = () => {
      const raw = connectSocket({ host, port })
      return raw.once('connect', () => onConnect(raw))
    }
    return new WebSocket(url, { perMessageDeflate: false, createConnection })
  } catch (error) {
    throw new ClientError('ERR_URL', `${url} is not a WebSocket URL: ${(error as Error).message}`, { cause: error })
  }
}

/** Connects, sends the message if there is one, takes the first answer and closes with 1000. */
export async function ask (target: WebSocketTarget, message: Uint8Array | string | undefined, { timeoutMs }: { timeoutMs: number }): Promise<Message> {
  const messages: Message[] = []
  await converse(target, { timeoutMs, count: 1, onMessage: (one) => messages.push(one), ...(message !== undefined && { send: [message] }) })
  return messages[0] as Message
}

export interface Conversation {
  readonly timeoutMs: number
  readonly send?: Iterable<Uint8Array | string> | AsyncIterable<Uint8Array | string>
  /** The client closes after this many answers; by default, after one answer for each message it sent. */
  readonly count?: number
  readonly onMessage: (message: Message) => unknown
}

/** Connects, sends the messages, takes the answers and closes with 1000. It is an error if the server closes first. */
export async function converse (target: WebSocketTarget, { timeoutMs, send = [], count, onMessage }: Conversation): Promise<void> {
  let answers = 0
  let wanted = count ?? Infinity
  let heard = () => {}
  let timer: NodeJS.Timeout | undefined
  const socket = await connect(target, {
    timeoutMs,
    onMessage (message) {
      if (answers >= wanted) return
      answers++
      const taken = onMessage(message)
      heard()
      if (taken instanceof Promise) return taken.then(() => timer?.refresh())
    }
  })
  return await new Promise((resolve, reject) => {
    let sent = 0
    let goOn = () => {}
    const fail = (error: Error) => { reject(error); socket.terminate() }
    // The timeout applies only while the server owes an answer: our own input and output may take longer.
    timer = setInterval(() => { if (!socket.isPaused && (wanted !== Infinity || sent > answers)) fail(timedOut(target, timeoutMs)) }, timeoutMs)
    const closeIfDone = () => { if (answers >= wanted) socket.close(1000) }
    heard = () => {
      timer?.refresh()
      closeIfDone()
      goOn()
    }
    socket.once('close', (code, reason) => {
      clearInterval(timer)
      goOn()
      if (answers >= wanted) return resolve()
      const cause = code === ABNORMAL ? 'the connection broke' : `the server closed the connection with ${code}${reason.length > 0 ? ` ${show(reason)}` : ''}`
      reject(new ClientError('ERR_CLOSED', `${cause} after ${answers} ${answers === 1 ? 'answer' : 'answers'}`))
    })
    const sendAll = async () => {
      for await (const message of send) {
        if (sent - answers >= MAX_UNANSWERED) await new Promise<void>((resolve) => { goOn = resolve })
        if (socket.readyState !== WebSocket.OPEN) return
        await new Promise((resolve) => { socket.send(message, resolve) })
        sent++
        timer?.refresh()
      }
      if (count === undefined) wanted = sent
      closeIfDone()
    }
    sendAll().catch(fail)
    // The answers may have come with the handshake.
    closeIfDone()
  })
}
