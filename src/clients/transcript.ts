/** Plays a client against one service and records each step on the wire. */
import { formatAddress, unmapped, type Target } from '../shared/address.ts'
import type { Segment, Transcript } from '../shared/messages.ts'
import type { Example } from '../service.ts'
import type { Transport } from '../shared/transport.ts'
import { ClientError, noAnswer, timedOut } from './client-error.ts'
import { talk } from './tcp.ts'
import { sendDatagram } from './udp.ts'
import { connect } from './websocket.ts'

export interface Played {
  readonly name: string
  readonly transport: Transport
  readonly example: Example
  readonly path?: string | undefined
}

const MAX_SEGMENTS = 64
const MAX_SHOWN_BYTES = 1024
/** Time to wait for a service that never answers. */
const SILENCE_MS = 300
const PARTS = 3

class Recorder {
  readonly segments: Segment[] = []
  readonly peers: string[] = []
  omitted = 0
  readonly #started = performance.now()

  from (address = '', port = 0): void {
    this.peers.push(formatAddress(unmapped(address), port))
  }

  add (direction: Segment['direction'], what: Segment['what'], data: Uint8Array = Buffer.alloc(0), note?: string): void {
    if (this.segments.length === MAX_SEGMENTS) {
      this.omitted++
      return
    }
    const shown = Buffer.from(data.subarray(0, MAX_SHOWN_BYTES))
    this.segments.push({
      ms: Number((performance.now() - this.#started).toFixed(2)),
      direction,
      what,
      bytes: data.length,
      hex: shown.toString('hex'),
      text: shown.toString('utf8'),
      ...(note !== undefined && { note })
    })
  }
}

/** Resolves to the transcript, after `timeoutMs` at the latest. Its `error` says why a conversation broke off. */
export async function play (service: Played, target: Target, timeoutMs: number): Promise<Transcript> {
  const recorder = new Recorder()
  const { segments, peers } = recorder
  const address = `${formatAddress(target.host, target.port)}${service.path ?? ''}`
  let error: string | undefined
  try {
    await players[service.transport](service, target, recorder, new Deadline(timeoutMs))
  } catch (cause) {
    if (!(cause instanceof ClientError)) throw cause
    error = cause.message
  }
  return { service: service.name, address, peers, segments, omitted: recorder.omitted, ...(error !== undefined && { error }) }
}

class Deadline {
  readonly signal: AbortSignal
  readonly ms: number
  readonly #at: number

  constructor (ms: number) {
    this.ms = ms
    this.signal = AbortSignal.timeout(ms)
    this.#at = performance.now() + ms
  }

  get leftMs (): number {
    return Math.max(1, Math.ceil(this.#at - performance.now()))
  }
}

type Player = (service: Played, target: Target, recorder: Recorder, deadline: Deadline) => Promise<void>

const players: Readonly<Record<Transport, Player>> = {
  async http (_service, target, recorder, deadline) {
    const request = Buffer.from(`GET /healthz HTTP/1.1\r\nHost: ${formatAddress(target.host, target.port)}\r\nConnection: close\r\n\r\n`)
    await playTcp([request], false, target, recorder, deadline)
  },

  async tcp ({ example }, target, recorder, deadline) {
    await playTcp(thirds(example.send), example.isGreeted ?? false, target, recorder, deadline)
  },

  async websocket ({ example, path = '/' }, target, recorder, deadline) {
    const messages = thirds(example.send)
    let wanted = Math.max(messages.length, 1)
    let answered = () => {}
    const done = new Promise<void>((resolve) => { answered = resolve })
    const socket = await connect({ ...target, path }, {
      timeoutMs: deadline.leftMs,
      onSocket (socket) {
        recorder.from(socket.localAddress, socket.localPort)
        recorder.add('received', 'connect', undefined, '101 Switching Protocols')
      },
      onMessage ({ data, isBinary }) {
        if (wanted === 0) return
        recorder.add('received', isBinary ? 'binary' : 'text', data)
        if (--wanted === 0) answered()
      }
    })
    const closed = new Promise<void>((resolve) => {
      socket.once('close', (code, reason) => {
        if (!deadline.signal.aborted) recorder.add('received', 'close', undefined, `${code} ${reason}`.trim())
        resolve()
      })
    })
    const abort = () => socket.terminate()
    deadline.signal.addEventListener('abort', abort)
    for (const message of messages) {
      socket.send(message, { binary: false })
      recorder.add('sent', 'text', message)
    }
    await Promise.race([done, closed])
    if (socket.readyState === socket.OPEN) {
      recorder.add('sent', 'close', undefined, '1000')
      socket.close(1000)
    }
    await closed
    deadline.signal.removeEventListener('abort', abort)
    if (wanted > 0) throw deadline.signal.aborted ? timedOut(target, deadline.ms) : noAnswer(target)
  },

  async udp ({ example }, target, recorder, deadline) {
    const isAnswered = example.answer !== undefined
    for (const message of isAnswered ? thirds(example.send) : [Buffer.from(example.send ?? '')]) {
      recorder.add('sent', 'datagram', message)
      const answer = await sendDatagram(target, message, {
        timeoutMs: deadline.leftMs,
        isAnswered,
        onSocket (socket) {
          const { address, port } = socket.address()
          recorder.from(address, port)
        }
      })
      if (answer) recorder.add('received', 'datagram', answer)
    }
    if (isAnswered) return
    await new Promise((resolve) => { setTimeout(resolve, SILENCE_MS) })
    recorder.add('received', 'silence', undefined, 'it never answers')
  }
}

async function playTcp (parts: readonly Buffer[], isGreeted: boolean, target: Target, recorder: Recorder, deadline: Deadline): Promise<void> {
  let hear = (_isGreeted: boolean) => {}
  const heard = new Promise<boolean>((resolve) => { hear = resolve })
  async function * send () {
    if (isGreeted && !await heard) throw noAnswer(target)
    for (const part of parts) {
      recorder.add('sent', 'data', part)
      yield part
    }
    recorder.add('sent', 'fin')
  }
  await talk(target, {
    timeoutMs: deadline.leftMs,
    signal: deadline.signal,
    send: send(),
    onConnect (socket) {
      recorder.from(socket.localAddress, socket.localPort)
      recorder.add('sent', 'connect')
    },
    onData (chunk) {
      recorder.add('received', 'data', chunk)
      hear(true)
    },
    onEnd () {
      recorder.add('received', 'fin')
      hear(false)
    }
  })
}

/** Cuts a text into three parts, to show which transports keep message boundaries. */
function thirds (text = ''): Buffer[] {
  const bytes = Buffer.from(text)
  const size = Math.ceil(bytes.length / PARTS)
  return Array.from({ length: PARTS }, (_part, index) => bytes.subarray(index * size, (index + 1) * size)).filter(({ length }) => length > 0)
}
