/** The memory that short answers are put together in: whose turn it is, and that nothing is overwritten on its way. */
import { Socket } from 'node:net'
import t from 'tap'
import { AnswerBatch } from '../src/plugins/answer-batch.ts'

/** A socket of the batch's clients: it keeps what is written to it, and says that so much of it is still on its way. */
function client (batch: AnswerBatch) {
  const raw = Object.assign(new Socket(), { chunks: [] as Buffer[], unsent: 0 })
  Object.defineProperty(raw, 'writableLength', { get: () => raw.unsent })
  raw._write = (chunk: Buffer | string, _encoding, done) => {
    raw.chunks.push(Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk))
    done()
  }
  batch.watch(raw)
  return raw
}

type Client = ReturnType<typeof client>
const textOf = ({ chunks }: Client) => Buffer.concat(chunks).toString('latin1')
const add = (batch: AnswerBatch, raw: Socket, text: string) => batch.add(raw, text, Buffer.byteLength(text), false)

t.test('answers of a slice are one write; other writes come after what waits', async (t) => {
  const batch = new AnswerBatch()
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
  const batch = new AnswerBatch()
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
  const batch = new AnswerBatch()
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
  const batch = new AnswerBatch()
  const raw = client(batch)
  batch.begin(raw)
  let count = 0
  for (; !batch.isFull; count++) add(batch, raw, 'x'.repeat(2048))
  t.equal(count, 7)
  batch.flush(raw)
  batch.end(raw)
  t.notOk(batch.isFull)
})
