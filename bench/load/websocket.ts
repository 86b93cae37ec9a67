/** WebSocket's opening and frames (RFC 6455), as far as a load generator needs them. */
import { ReplyError } from './meter.ts'
import type { SameReplies } from './protocols.ts'

const MASK = Buffer.from([0x37, 0xfa, 0x21, 0x3d])
const MAX_FRAME = 16_777_216
/** The answer to the key of RFC 6455's own example. */
export const HANDSHAKE_ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='

export const handshake = ({ host, port, path }: { host: string, port: number, path: string }): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`

/** One whole message in one frame. */
export function frame (payload: Buffer, { isText, isMasked }: { isText: boolean, isMasked: boolean }): Buffer {
  const { length } = payload
  const header = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  header[0] = 0x80 | (isText ? 1 : 2)
  header[1] = (isMasked ? 0x80 : 0) | (length < 126 ? length : length < 65_536 ? 126 : 127)
  if (header.length === 4) header.writeUInt16BE(length, 2)
  if (header.length === 10) header.writeBigUInt64BE(BigInt(length), 2)
  if (!isMasked) return Buffer.concat([header, payload])
  return Buffer.concat([header, MASK, payload.map((byte, i) => byte ^ (MASK[i % 4] as number))])
}

interface Frame {
  readonly opcode: number
  readonly isLast: boolean
  readonly payload: Buffer
  readonly size: number
}

/** The frame at the start of the bytes; undefined as long as it is not whole. */
function parseFrame (bytes: Buffer): Frame | undefined {
  if (bytes.length < 2) return undefined
  const [first, second] = bytes as unknown as [number, number]
  const short = second & 127
  const header = short === 126 ? 4 : short === 127 ? 10 : 2
  if (bytes.length < header) return undefined
  const length = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short
  if ((second & 128) || (first & 0x70) || length > MAX_FRAME) throw new ReplyError('protocol', 'a frame that no server sends')
  const size = header + length
  if (bytes.length < size) return undefined
  return { opcode: first & 15, isLast: (first & 128) !== 0, payload: bytes.subarray(header, size), size }
}

/** Compares with the usual frame, and parses only what is not it: other lengths, fragments, control frames. */
export class FrameReader {
  readonly #same: SameReplies
  readonly #replies: Buffer
  readonly #payload: Buffer
  readonly #opcode: number
  #pending: Buffer = Buffer.alloc(0)
  #messageSize = 0
  #messageOpcode = 0

  constructor (same: SameReplies, replies: Buffer, payload: Buffer, isText: boolean) {
    this.#same = same
    this.#replies = replies
    this.#payload = payload
    this.#opcode = isText ? 1 : 2
  }

  read (chunk: Buffer): number {
    if (this.#pending.length === 0 && this.#messageSize === 0) {
      const replies = this.#same.tryRead(chunk)
      if (replies !== undefined) return replies
    }
    this.#pending = Buffer.concat([this.#replies.subarray(0, this.#same.position), this.#pending, chunk])
    this.#same.position = 0
    let replies = 0
    // Pings go unanswered: no run lasts as long as a server waits for its pong.
    for (let next = parseFrame(this.#pending); next; next = parseFrame(this.#pending)) {
      this.#pending = this.#pending.subarray(next.size)
      if (next.opcode === 8) throw new ReplyError('closed', 'a close frame')
      if (next.opcode <= 2 && this.#isMessage(next)) replies++
    }
    return replies
  }

  #isMessage ({ opcode, isLast, payload }: Frame): boolean {
    if (opcode !== 0) this.#messageOpcode = opcode
    const end = this.#messageSize + payload.length
    if (!this.#payload.subarray(this.#messageSize, end).equals(payload)) throw new ReplyError('wrong', 'a message came back changed')
    this.#messageSize = end
    if (!isLast) return false
    if (end !== this.#payload.length || this.#messageOpcode !== this.#opcode) throw new ReplyError('wrong', 'a message of another size or kind came back')
    this.#messageSize = 0
    return true
  }
}
