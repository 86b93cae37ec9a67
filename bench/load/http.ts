/** HTTP's requests and answers, as far as a load generator needs them: status 200 with a Content-Length. */
import { ReplyError } from './meter.ts'

const MAX_HEADER = 65_536

export const request = ({ host, port, path }: { host: string, port: number, path: string }, isClose: boolean): string =>
  `GET ${path} HTTP/1.1\r\nHost: ${host}:${port}\r\n${isClose ? 'Connection: close\r\n' : ''}\r\n`

/** What connections know of each other's answers. */
export interface AnswerMemory {
  readonly isVarying: boolean
  /** The last whole answer: as long as the next ones are the same, they need no parsing. */
  answer?: Buffer
  body?: Buffer
}

/** The size of the first answer, whose body must be that of the one before; 0 as long as it is not whole. */
export function checkAnswer (bytes: Buffer, memory: AnswerMemory): number {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) {
    if (bytes.length > MAX_HEADER) throw new ReplyError('protocol', 'no end of the headers')
    return 0
  }
  const head = bytes.toString('latin1', 0, end + 2)
  const length = /\r\nContent-Length: *(\d+)\r\n/i.exec(head)?.[1]
  if (!head.startsWith('HTTP/1.1 200') || length === undefined) throw new ReplyError('protocol', 'not 200, or without Content-Length')
  const size = end + 4 + Number(length)
  if (bytes.length < size) return 0
  const body = bytes.subarray(end + 4, size)
  if (memory.body && !memory.isVarying && !memory.body.equals(body)) throw new ReplyError('protocol', 'another body than before')
  memory.answer = Buffer.from(bytes.subarray(0, size))
  memory.body = memory.answer.subarray(end + 4)
  return size
}

export class AnswerReader {
  readonly #memory: AnswerMemory
  #pending: Buffer = Buffer.alloc(0)

  constructor (memory: AnswerMemory) {
    this.#memory = memory
  }

  read (chunk: Buffer): number {
    let replies = 0
    let bytes = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk
    while (bytes.length > 0) {
      const { answer } = this.#memory
      const isSame = answer !== undefined && bytes.length >= answer.length && answer.compare(bytes, 0, answer.length) === 0
      const size = isSame ? answer.length : checkAnswer(bytes, this.#memory)
      if (size === 0) break
      bytes = bytes.subarray(size)
      replies++
    }
    // The chunk's memory is used again for the next one.
    this.#pending = bytes.length > 0 ? Buffer.from(bytes) : bytes
    return replies
  }
}
