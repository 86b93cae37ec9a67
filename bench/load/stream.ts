/**
 * TCP and WebSocket connections that keep a number of messages in flight and compare every byte that comes back. Prepared
 * frames and known answers cost the generator less than a WebSocket library would.
 */
import { connect } from 'node:net'
import type { Result } from './job.ts'
import { payloadOf, type Meter } from './meter.ts'

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
/** Shared by all connections: each read is processed before the next. */
const readBuffer = Buffer.alloc(262_144)

interface Dialogue { readonly request: Buffer, readonly reply: Buffer, readonly opening?: string }

/** A whole binary message in one frame (RFC 6455, section 5.2). */
function frame (payload: Buffer, mask?: Buffer): Buffer {
  const { length } = payload
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = 0x82
  header[1] = (mask ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat(mask ? [header, mask, payload.map((byte, i) => byte ^ (mask[i % 4] as number))] : [header, payload])
}

export function dialogueOf ({ job: { protocol, size = 16 }, to: { path, authority } }: Meter): Dialogue {
  const payload = payloadOf(size)
  if (protocol === 'tcp') return { request: payload, reply: payload }
  // The key, and the answer to it below, are from the example in RFC 6455.
  const upgrade = 'Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
  return { request: frame(payload, MASK), reply: frame(payload), opening: `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\n${upgrade}\r\n\r\n` }
}

const isUpgraded = (head: string) => head.startsWith('HTTP/1.1 101') && head.includes('s3pPLMBiTxaQ9kYGzzhZRbK+xOo=')
const copies = (one: Buffer, count: number) => Buffer.concat(Array.from({ length: count }, () => one))

export function openStream (meter: Meter, dialogue: Dialogue, index: number, isIdle = false) {
  const { depth = 1, pauseMs, isFlood } = meter.job
  const [requests, replies] = [copies(dialogue.request, depth), copies(dialogue.reply, depth)]
  const replySize = dialogue.reply.length
  const sentAt = new Float64Array(depth)
  let sent = 0
  let answered = 0
  /** Bytes of an incomplete reply. */
  let position = 0
  let head = ''
  let state: 'opening' | 'open' | 'closed' = 'opening'
  let settle = () => {}
  /** Resolves when the connection is open or has failed. */
  const settled = new Promise<void>((resolve) => { settle = resolve })
  // A connection that never opens counts as unanswered.
  meter.waiting++
  const onread = { buffer: readBuffer, callback: (size: number) => { read(readBuffer.subarray(0, size)); return true } }
  const socket = connect({ noDelay: true, onread, ...meter.route(index) })
  socket.on('connect', () => { if (dialogue.opening) socket.write(dialogue.opening); else open() })
  socket.on('error', ({ message }) => fail(message))
  socket.on('end', () => fail('the server closed'))

  function open (): void {
    state = 'open'
    meter.waiting--
    settle()
    if (isIdle) return
    // Light clients start at different times.
    if (pauseMs) setTimeout(send, Math.random() * pauseMs, 1)
    else send(depth)
  }

  function send (count: number): void {
    if (meter.isOver || state !== 'open') return
    const now = performance.now()
    for (let i = 0; i < count; i++) sentAt[sent++ % depth] = now
    meter.waiting += count
    socket.write(requests.subarray(0, count * dialogue.request.length))
  }

  function read (chunk: Buffer): void {
    if (state === 'opening') chunk = readOpening(chunk)
    if (state !== 'open' || chunk.length === 0) return
    const end = position + chunk.length
    if (end > (sent - answered) * replySize || chunk.compare(replies, position, end) !== 0) {
      const rest = dialogue.opening && withoutPing(chunk)
      return rest ? read(rest) : fail('the bytes that came back are not those sent')
    }
    position = end % replySize
    const count = Math.floor(end / replySize)
    if (count === 0) return
    for (let i = 0; i < count; i++) meter.count(sentAt[answered++ % depth] as number)
    meter.waiting -= count
    if (pauseMs) setTimeout(send, pauseMs, count)
    else send(count)
  }

  /** Cuts out the first ping between two replies. It stays unanswered: a load is shorter than the server's patience. */
  function withoutPing (chunk: Buffer): Buffer | undefined {
    let at = (replySize - position) % replySize
    while (at < chunk.length && chunk[at] !== 0x89) at += replySize
    return at < chunk.length ? Buffer.concat([chunk.subarray(0, at), chunk.subarray(at + 2 + (chunk[at + 1] ?? 0))]) : undefined
  }

  /** Returns the bytes after the answer to the opening. */
  function readOpening (chunk: Buffer): Buffer {
    head += chunk.toString('latin1')
    const end = head.indexOf('\r\n\r\n')
    if (end < 0) return Buffer.alloc(0)
    if (isUpgraded(head)) open()
    else fail(`no WebSocket: ${head.slice(0, head.indexOf('\r\n'))}`)
    return Buffer.from(head.slice(end + 4), 'latin1')
  }

  function close (): void {
    state = 'closed'
    meter.waiting -= sent - answered
    // An RST leaves nothing behind on either side.
    socket.resetAndDestroy()
  }

  function fail (message: string): void {
    if (state === 'closed') return
    if (state === 'opening') meter.waiting--
    meter.fail(message)
    close()
    settle()
    if (isFlood && !meter.isOver) setImmediate(openStream, meter, dialogue, index)
  }

  return { settled, isOpen: () => state === 'open', close }
}

export function runStream (meter: Meter): Promise<Result> {
  const dialogue = dialogueOf(meter)
  for (let i = 0; i < meter.job.connections; i++) openStream(meter, dialogue, i)
  return meter.measure()
}
