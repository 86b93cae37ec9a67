/** The memory that short answers are put together in: whose turn it is, and that nothing is overwritten on its way. */
import { Socket } from 'node:net'
import t from 'tap'
import { AnswerBatch } from '../src/plugins/answer-batch.ts'
import { Turn, type Answer } from '../src/turn.ts'

/** Sends all answers when it is asked to. */
class HoldingTurn extends Turn {
  readonly #all: Answer[] = []
  override answer (answer: Answer): void { this.#all.push(answer) }
  override sendHeld (): void { for (const answer of this.#all.splice(0)) answer.send() }
}

/** A socket of the batch's clients: it keeps what is written to it, the memory and what was in it then, and says that so much of it is still on its way. */
function client (batch: AnswerBatch) {
  const raw = Object.assign(new Socket(), { chunks: [] as Buffer[], received: '', unsent: 0 })
  Object.defineProperty(raw, 'writableLength', { get: () => raw.unsent })
  raw._write = (chunk: Buffer | string, _encoding, done) => {
    raw.chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk))
    raw.received += raw.chunks.at(-1)?.toString('latin1')
    done()
  }
  batch.watch(raw)
  return raw
}

type Client = ReturnType<typeof client>
const textOf = ({ chunks }: Client) => Buffer.concat(chunks).toString('latin1')
const add = (batch: AnswerBatch, raw: Socket, text: string) => batch.add(raw, text, Buffer.byteLength(text), false)

t.test('answers of a slice are one write; other writes come after what waits', async (t) => {
  const batch = new AnswerBatch(new Turn(0))
  const raw = client(batch)
  batch.begin(raw)
  t.ok(add(batch, raw, 'one'))
  t.ok(batch.add(raw, Buffer.from('two'), 3, true))
  t.equal(textOf(raw), '')
  raw.write('other')
  t.ok(add(batch, raw, 'ä'))
  batch.flush(raw)
  batch.end(raw)
  t.same(raw.chunks.map((chunk) => chunk.toString('latin1')), ['\x81\x03one\x82\x03two', 'other', '\x81\x02\xc3\xa4'])
})

t.test('only the client whose slice it is, and that keeps up, has its answers taken, and short ones', async (t) => {
  const batch = new AnswerBatch(new Turn(0))
  const [raw, other] = [client(batch), client(batch)]
  t.notOk(add(batch, raw, 'before'))
  batch.begin(raw)
  t.notOk(add(batch, other, 'of another'))
  t.notOk(add(batch, raw, 'x'.repeat(2049)))
  t.ok(add(batch, raw, 'x'.repeat(2048)))
  other.write('of another')
  t.equal(textOf(raw), '')
  batch.flush(raw)
  batch.end(raw)
  t.notOk(add(batch, raw, 'after'))
  raw.unsent = 1
  batch.begin(raw)
  t.notOk(add(batch, raw, 'behind'))
  batch.end(raw)
  t.equal(textOf(raw).length, 4 + 2048)
  t.equal(textOf(other), 'of another')
})

t.test('memory is used again, but for what is still on its way', async (t) => {
  const batch = new AnswerBatch(new Turn(0))
  const [slow, quick] = [client(batch), client(batch)]
  const answer = (raw: Client, text: string) => {
    batch.begin(raw)
    add(batch, raw, text)
    batch.flush(raw)
  }
  answer(quick, 'first')
  batch.end(quick)
  answer(quick, 'second')
  batch.end(quick)
  const [first, second] = quick.chunks
  t.ok(first && second && first.buffer === second.buffer && first.byteOffset === second.byteOffset)
  answer(slow, 'on its way')
  slow.unsent = 12
  batch.end(slow)
  answer(quick, 'third')
  batch.end(quick)
  t.equal(textOf(slow), '\x81\x0aon its way')
})

t.test('it is full before an answer has no room, and empty once that is written', async (t) => {
  const batch = new AnswerBatch(new Turn(0))
  const raw = client(batch)
  batch.begin(raw)
  let count = 0
  for (; !batch.isFull; count++) add(batch, raw, 'x'.repeat(2048))
  t.equal(count, 7)
  batch.flush(raw)
  batch.end(raw)
  t.notOk(batch.isFull)
})

t.test('answers wait for the end of the turn, each client\'s in their order', async (t) => {
  const turn = new HoldingTurn(0)
  const batch = new AnswerBatch(turn)
  const [raw, other] = [client(batch), client(batch)]
  const slice = (raw: Client, ...texts: string[]) => {
    batch.begin(raw)
    for (const text of texts) t.ok(add(batch, raw, text))
    batch.end(raw)
  }
  slice(raw, 'one', 'two')
  slice(other, 'three')
  t.equal(raw.received + other.received, '')
  slice(raw, 'four')
  t.equal(raw.received, '\x81\x03one\x81\x03two', 'a second slice in the same turn')
  turn.sendHeld()
  t.equal(raw.received, '\x81\x03one\x81\x03two\x81\x04four')
  t.equal(other.received, '\x81\x05three')

  slice(raw, 'five')
  slice(other, 'six')
  raw.write('other')
  t.equal(raw.received.slice(-11), '\x81\x04fiveother', 'another write comes after them')
  batch.begin(raw)
  add(batch, raw, 'seven')
  raw.write('other')
  batch.end(raw)
  t.equal(raw.received.slice(-12), '\x81\x05sevenother', 'in a slice, too')
  other.end()
  t.equal(other.received, '\x81\x05three\x81\x03six', 'and so does the FIN')
  turn.sendHeld()
  t.equal(other.received, '\x81\x05three\x81\x03six')

  slice(raw, 'seven')
  slice(raw, 'eight')
  turn.sendHeld()
  t.equal(raw.received.slice(-14), '\x81\x05seven\x81\x05eight', 'a second slice where nobody else has anything held')

  slice(raw, 'nine')
  raw.destroy()
  t.doesNotThrow(() => turn.sendHeld())
  t.notMatch(raw.received, 'nine', 'to who is gone nothing is sent')
})

t.test('memory in which something waits is not used again; with it full, all that waits is sent', async (t) => {
  const turn = new HoldingTurn(0)
  const batch = new AnswerBatch(turn)
  const clients = Array.from({ length: 8 }, () => client(batch))
  const last = clients.at(-1) as Client
  for (const [i, raw] of clients.entries()) {
    batch.begin(raw)
    if (batch.isFull) batch.next(raw)
    t.ok(add(batch, raw, String(i).repeat(2048)))
    if (raw === last) t.ok(clients.every((one) => one === last || one.chunks.length === 1), 'they are sent')
    else t.ok(clients.every(({ chunks }) => chunks.length === 0))
    batch.end(raw)
  }
  t.equal(last.chunks.length, 0)
  turn.sendHeld()
  for (const [i, raw] of clients.entries()) t.ok(raw.received.slice(4) === String(i).repeat(2048))
  const buffers = new Set(clients.map(({ chunks: [chunk] }) => chunk?.buffer))
  t.equal(buffers.size, 1)

  const [slow, quick] = [client(batch), client(batch)]
  for (const raw of [slow, quick]) {
    batch.begin(raw)
    add(batch, raw, 'first')
    batch.end(raw)
  }
  slow.unsent = 7
  turn.sendHeld()
  batch.begin(quick)
  add(batch, quick, 'second')
  batch.end(quick)
  turn.sendHeld()
  t.equal(textOf(slow), '\x81\x05first', 'nor if it is on its way')
  t.equal(textOf(quick), '\x81\x05first\x81\x06second')
  batch.begin(quick)
  add(batch, quick, 'third')
  batch.end(quick)
  turn.sendHeld()
  const [, second, third] = quick.chunks
  t.ok(second && third && second.buffer === third.buffer && second.byteOffset === third.byteOffset, 'and then it is used again')
})
