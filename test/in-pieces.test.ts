/** What is done for many, a part in each turn of the loop. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { inPieces } from '../src/shared/in-pieces.ts'

t.test('so many a turn, the first at once, and in the turn after the last it tells that all are done', async (t) => {
  const done: number[] = []
  const areDone = inPieces(new Set([1, 2, 3, 4, 5]), 2, (item) => done.push(item))
  for (const expected of [[1, 2], [1, 2, 3, 4], [1, 2, 3, 4, 5]]) {
    t.same(done, expected)
    t.equal(areDone(), false)
    await nextTurn()
  }
  t.equal(areDone(), true)
  t.equal(done.length, 5)
})

t.test('nobody is nothing to do', async (t) => {
  t.equal(inPieces(new Set(), 2, () => t.fail())(), true)
})

t.test('who has left is passed over, and takes nobody\'s place', async (t) => {
  const all = new Set([1, 2, 3, 4, 5, 6])
  const done: number[] = []
  const areDone = inPieces(all, 2, (item) => done.push(item))
  for (const item of [3, 4, 6]) all.delete(item)
  all.add(7)
  await nextTurn()
  t.same(done, [1, 2, 5])
  await nextTurn()
  t.same(done, [1, 2, 5])
  await nextTurn()
  t.equal(areDone(), true)
})

t.test('a later one does not overtake one that is under way, whoever leaves', async (t) => {
  const all = new Set(Array.from({ length: 40 }, (_, i) => i))
  const done: string[] = []
  inPieces(all, 4, (item) => done.push(`a${item}`))
  await nextTurn()
  inPieces(all, 4, (item) => done.push(`b${item}`))
  for (let i = 0; i < 8; i++) all.delete(i)
  for (let turn = 0; turn < 12; turn++) await nextTurn()
  t.equal(done.length, 8 + 32 + 4 + 32)
  for (const item of all) t.ok(done.indexOf(`a${item}`) < done.indexOf(`b${item}`), `${item}`)
})
