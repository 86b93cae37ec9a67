/** What each stream protocol sends, and how it tells that the right thing came back. */
import type { LoadOptions } from './options.ts'
import { FrameReader, frame, HANDSHAKE_ACCEPT, handshake } from './websocket.ts'
import { AnswerReader, request } from './http.ts'
import { ReplyError } from './meter.ts'

/** Copies lie side by side, so that one comparison and one write do for many. */
const COPIES_BYTES = 262_144

export interface Reader {
  /** The number of replies that these bytes complete; throws a ReplyError for a wrong one. */
  read (chunk: Buffer): number
}

export interface Protocol {
  /** One request, again and again. */
  readonly requests: Buffer
  readonly requestSize: number
  /** What has to be said, and answered, before the first request. */
  readonly opening?: { readonly request: string, isAnswered (head: string): boolean }
  reader (): Reader
}

export function payloadOf (size: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: size }, (_, i) => 97 + (i * 7 + Math.floor(i / 26)) % 26))
}

export function copiesOf (one: Buffer): Buffer {
  const count = Math.ceil(COPIES_BYTES / one.length) + 1
  return Buffer.concat(Array.from({ length: count }, () => one))
}

/** Compares a stream with copies of the reply it must consist of. */
export class SameReplies implements Reader {
  readonly #copies: Buffer
  readonly #size: number
  position = 0

  constructor (copies: Buffer, size: number) {
    this.#copies = copies
    this.#size = size
  }

  /** Undefined for bytes that differ, with the position where it was. */
  tryRead (chunk: Buffer): number | undefined {
    const start = this.position
    let position = start
    let replies = 0
    for (let offset = 0; offset < chunk.length;) {
      const length = Math.min(chunk.length - offset, this.#copies.length - position)
      if (chunk.compare(this.#copies, position, position + length, offset, offset + length) !== 0) return undefined
      replies += Math.floor((position + length) / this.#size)
      position = (position + length) % this.#size
      offset += length
    }
    this.position = position
    return replies
  }

  read (chunk: Buffer): number {
    const replies = this.tryRead(chunk)
    if (replies === undefined) throw new ReplyError('wrong', 'a byte came back changed')
    return replies
  }
}

export function protocolFor (options: LoadOptions): Protocol {
  const { mode, size, isText } = options
  const payload = payloadOf(size)
  if (mode === 'http' || mode === 'http-close') {
    const one = Buffer.from(request(options, mode === 'http-close'))
    const memory = { isVarying: options.isVarying }
    return { requests: copiesOf(one), requestSize: one.length, reader: () => new AnswerReader(memory) }
  }
  if (mode === 'ws' || mode === 'ws-hold') {
    const one = frame(payload, { isText, isMasked: true })
    const reply = frame(payload, { isText, isMasked: false })
    const replies = copiesOf(reply)
    return {
      requests: copiesOf(one),
      requestSize: one.length,
      opening: { request: handshake(options), isAnswered: (head) => head.startsWith('HTTP/1.1 101') && head.includes(HANDSHAKE_ACCEPT) },
      reader: () => new FrameReader(new SameReplies(replies, reply.length), replies, payload, isText)
    }
  }
  const copies = copiesOf(payload)
  return { requests: copies, requestSize: size, reader: () => new SameReplies(copies, size) }
}
