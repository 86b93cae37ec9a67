/** Who waits for whom: the share of a turn, and the slices that a client's bytes are handed on in. */
import { Socket } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { SliceReader } from '../src/plugins/slice-reader.ts'
import { MAX_HELD, Presence, Turn } from '../src/turn.ts'

t.test('a turn', async (t) => {
  t.test('serves who waits in order, and no more than its share holds', async (t) => {
    // So long that what the machine is busy with does not count.
    const turn = new Turn(60_000)
    const served: string[] = []
    turn.spend(60_000)
    t.ok(turn.isOver)
    for (const name of ['a', 'b', 'c', 'd']) turn.wait({ onTurn () { served.push(name); return 31_000 } })
    await nextTurn()
    t.same(served, ['a', 'b'])
    t.ok(turn.isOver, 'who comes now waits behind them')
    await nextTurn()
    t.same(served, ['a', 'b', 'c', 'd'])
    await nextTurn()
    t.notOk(turn.isOver)
  })

  t.test('counts what a waiter has set off, too', async (t) => {
    const turn = new Turn(50)
    const served: string[] = []
    const busy = () => { for (const end = performance.now() + 100; performance.now() < end;); }
    const setOff = { tick: (work: () => void) => process.nextTick(work), promise: (work: () => void) => { Promise.resolve().then(work, () => {}) } }
    for (const [name, later] of Object.entries(setOff)) {
      turn.wait({
        onTurn () {
          served.push(name)
          later(() => { served.push('set off'); busy() })
          return 0
        }
      })
      turn.wait({ onTurn () { served.push('next'); return 0 } })
      await nextTurn()
      t.same(served.splice(0), [name, 'set off'])
      await nextTurn()
      t.same(served.splice(0), ['next'])
      await nextTurn()
    }
  })

  t.test('that is begun by many counts from the first of them, and what waiters took, but not what others did before', async (t) => {
    const busy = (ms: number) => { for (const end = performance.now() + ms; performance.now() < end;); }
    const turn = new Turn(100)
    turn.wait({ onTurn: () => busy(60) })
    // What others do after that.
    setImmediate(() => busy(200))
    await nextTurn()
    turn.begin(performance.now())
    t.notOk(turn.isOver, 'though others have taken twice a share')
    busy(60)
    turn.begin(performance.now())
    t.ok(turn.isOver, 'with what its waiter took it is a share')
    await nextTurn()
    turn.begin(performance.now())
    t.notOk(turn.isOver)
    await nextTurn()
  })

  t.test('that is begun counts however long one piece takes', async (t) => {
    const turn = new Turn(100, { aloneMs: 200 })
    turn.begin(1000)
    turn.begin(1199)
    t.notOk(turn.isOver)
    turn.begin(1200)
    t.ok(turn.isOver)
    await nextTurn()
    turn.begin(2000)
    t.notOk(turn.isOver)
    turn.begin(5000)
    t.ok(turn.isOver)
    await nextTurn()
    t.notOk(turn.isOver)
  })

  t.test('serves one at least, however long that takes', async (t) => {
    const turn = new Turn(1)
    let served = 0
    for (let i = 0; i < 2; i++) turn.wait({ onTurn () { served++; return 50 } })
    await nextTurn()
    t.equal(served, 1)
    await nextTurn()
    t.equal(served, 2)
  })
})

t.test('who is alone may take more of a turn than beside others', async (t) => {
  const presence = new Presence()
  const turn = new Turn(0, { aloneMs: 60_000, presence })
  let served = 0
  /** How many of three that wait are served in the next turn. */
  async function servedAtOnce (): Promise<number> {
    served = 0
    for (let i = 0; i < 3; i++) turn.wait({ onTurn () { served++; return 1 } })
    await nextTurn()
    const atOnce = served
    for (let i = 0; i < 3; i++) await nextTurn()
    t.equal(served, 3)
    return atOnce
  }
  const others = {
    'who has spent': () => new Turn(1, { presence }).spend(0),
    'who has begun': () => new Turn(1, { presence }).begin(performance.now()),
    'who has waited': () => new Turn(1, { presence }).wait({ onTurn () {} }),
    'who has no turns': () => { presence.served++ }
  }
  for (const [name, other] of Object.entries(others)) {
    t.equal(await servedAtOnce(), 3, 'alone')
    turn.spend(1)
    turn.begin(performance.now())
    t.notOk(turn.isOver)
    await nextTurn()
    t.ok(turn.isAlone, 'what it does itself is nobody else')
    other()
    await nextTurn()
    turn.spend(1)
    await nextTurn()
    t.notOk(turn.isAlone, name)
    turn.spend(1)
    t.ok(turn.isOver)
    await nextTurn()
    t.equal(await servedAtOnce(), 1)
    for (let i = 0; !turn.isAlone; i++) {
      if (i > 50) return t.fail('nobody is there')
      turn.spend(1)
      await nextTurn()
    }
  }
})

t.test('answers', async (t) => {
  const presence = new Presence()
  const turn = new Turn(60_000, { presence })
  const sent: string[] = []
  const answer = (name: string) => turn.answer({ send () { sent.push(name) } })
  const take = () => sent.splice(0)

  t.test('are sent at once where they come one at a time', async (t) => {
    for (const name of ['a', 'b', 'c']) {
      turn.begin(performance.now())
      answer(name)
      t.same(take(), [name])
      await nextTurn()
    }
  })

  t.test('are sent at the end of the turn, in their order, where more than one is served in it', async (t) => {
    turn.begin(performance.now())
    answer('a')
    t.same(take(), ['a'], 'nobody knows yet')
    for (const name of ['b', 'c']) {
      turn.begin(performance.now())
      answer(name)
    }
    t.same(take(), [])
    await nextTurn()
    t.same(take(), ['b', 'c'])
    turn.begin(performance.now())
    answer('d')
    t.same(take(), [], 'as there was more than one in the turn before')
    await nextTurn()
    t.same(take(), ['d'])
    await nextTurn()
  })

  t.test('are 32 at most', async (t) => {
    const names = Array.from({ length: MAX_HELD + 2 }, (_, i) => String(i))
    turn.begin(performance.now())
    turn.begin(performance.now())
    for (const name of names.slice(0, MAX_HELD - 1)) answer(name)
    t.same(take(), [])
    for (const name of names.slice(MAX_HELD - 1)) answer(name)
    t.same(take(), names.slice(0, MAX_HELD), 'the next ones are held again')
    await nextTurn()
    t.same(take(), names.slice(MAX_HELD))
    await nextTurn()
  })

  t.test('to who has waited are sent when nobody waits any more in this turn', async (t) => {
    for (const name of ['a', 'b', 'c']) turn.wait({ onTurn: () => answer(name) })
    await nextTurn()
    t.same(take(), ['a', 'b', 'c'])
    await nextTurn()
  })

  t.test('can be sent before that', async (t) => {
    turn.begin(performance.now())
    turn.begin(performance.now())
    answer('a')
    answer('b')
    t.same(take(), [])
    turn.sendHeld()
    t.same(take(), ['a', 'b'])
    await nextTurn()
    t.same(take(), [], 'once')
    await nextTurn()
  })

  t.test('are never held beside others', async (t) => {
    presence.served++
    turn.begin(performance.now())
    await nextTurn()
    for (const name of ['a', 'b', 'c']) {
      turn.begin(performance.now())
      answer(name)
      t.same(take(), [name])
    }
  })
})

/** Notes the sizes of what it takes, and 'end' after each slice. */
class Pieces extends SliceReader {
  readonly taken: (number | 'end')[] = []
  isTaking = true
  onTake = () => {}

  constructor (raw = new Socket()) {
    // The smallest that a slice can be, so that a busy machine makes none smaller; and one slice a turn.
    super(raw, new Turn(0.01), Buffer.alloc(0), 512)
  }

  give (...sizes: number[]): void {
    for (const size of sizes) this.hold(Buffer.alloc(size))
    this.arrange()
  }

  protected override pieceBytes (chunk: Buffer, most: number): number {
    return chunk.length === 5000 ? 5000 : super.pieceBytes(chunk, most)
  }

  protected take (piece: Buffer): void {
    this.taken.push(piece.length)
    this.onTake()
  }

  protected override endSlice (): void {
    this.taken.push('end')
  }
}

/** Longer than a slice should take, so that the next ones are no larger. */
function busy (): void {
  for (const end = performance.now() + 0.15; performance.now() < end;);
}

t.test('a slice', async (t) => {
  t.test('is of so many bytes, whatever they came in', async (t) => {
    const reader = new Pieces()
    reader.onTake = busy
    reader.give(300, 900, 100)
    for (const slice of [[300, 212], [512], [176, 100]]) {
      await nextTurn()
      t.same(reader.taken.splice(0), [...slice, 'end'])
    }
    t.equal(reader.heldBytes, 0)
  })

  t.test('is larger only for what is taken in one piece', async (t) => {
    const reader = new Pieces()
    reader.onTake = busy
    reader.give(300, 5000, 5000, 10)
    for (const slice of [[300, 5000], [5000], [10]]) {
      await nextTurn()
      t.same(reader.taken.splice(0), [...slice, 'end'])
    }
  })

  t.test('ends where the client is to be held back, and where it is gone', async (t) => {
    const raw = new Socket()
    const reader = new Pieces(raw)
    reader.onTake = () => { reader.isTaking = false }
    reader.give(100, 100)
    await nextTurn()
    t.same(reader.taken, [100, 'end'])
    reader.isTaking = true
    reader.onTake = () => raw.destroy()
    reader.give(100, 100)
    await nextTurn()
    t.same(reader.taken, [100, 'end', 100, 'end'])
  })
})
