import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import t from 'tap'
import { Roster, type Member } from '../src/roster.ts'

const member = (): Member => ({ rosterIndex: -1 })

t.test('a roster has the members that a set would have', async () => {
  const commands = fc.array(fc.record({ isAdded: fc.boolean(), which: fc.nat(19) }), { maxLength: 200 })
  fc.assert(fc.property(commands, (all) => {
    const known = Array.from({ length: 20 }, member)
    const others = member()
    const roster = new Roster<Member>()
    const set = new Set<Member>()
    for (const { isAdded, which } of all) {
      const one = known[which] as Member
      if (!isAdded) {
        roster.delete(one)
        set.delete(one)
      } else {
        roster.add(one)
        set.add(one)
      }
      const listed = [...roster]
      if (listed.length !== set.size || roster.size !== set.size) return false
      if (!listed.every((each) => set.has(each)) || new Set(listed).size !== set.size) return false
      if (known.some((each) => roster.has(each) !== set.has(each)) || roster.has(others)) return false
    }
    return true
  }))
})

t.test('whoever goes through it may delete the one at hand, and misses nobody', async (t) => {
  const roster = new Roster<Member>()
  const all = Array.from({ length: 10 }, member)
  for (const one of all) roster.add(one)
  const seen: Member[] = []
  for (const one of roster) {
    seen.push(one)
    if (seen.length % 3 === 0) roster.delete(one)
  }
  t.same(new Set(seen), new Set(all))
  t.equal(roster.size, 7)
})

// 60,000 members come and go, of which 64 are there at a time, in one that was there for long. Tells by how much the old part of the heap has grown.
const CHURN = `
const { getHeapSpaceStatistics } = require('node:v8')
const { parentPort, workerData } = require('node:worker_threads')
const oldBytes = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'old_space').space_used_size
import(workerData.url).then(({ Roster }) => {
  const some = workerData.isSet ? new Set() : new Roster()
  const open = []
  const add = () => {
    const one = { rosterIndex: -1, filler: new Array(20).fill(0) }
    some.add(one)
    open.push(one)
  }
  for (let i = 0; i < 64; i++) add()
  let garbage
  for (let i = 0; i < 1_000_000; i++) garbage = [i, i, i, i, i, i, i]
  const before = oldBytes()
  for (let i = 0; i < 60_000; i++) {
    add()
    some.delete(open.shift())
  }
  parentPort.postMessage(oldBytes() - before)
})
`

async function growth (isSet: boolean): Promise<number> {
  const url = new URL('../dist/roster.js', import.meta.url).href
  const worker = new Worker(CHURN, { eval: true, workerData: { url, isSet }, execArgv: [], resourceLimits: { maxYoungGenerationSizeMb: 3 } })
  const [bytes] = await once(worker, 'message') as [number]
  await worker.terminate()
  return bytes
}

/** The one in the middle of five: of 300 tries, one of a roster left 5 MB, and one in ten of a set next to nothing. */
async function usualGrowth (isSet: boolean): Promise<number> {
  const all: number[] = []
  for (let i = 0; i < 5; i++) all.push(await growth(isSet))
  return all.sort((a, b) => a - b)[2] as number
}

t.test('who has left a roster is gone at once, and not only when the whole heap is looked through', async (t) => {
  const left = await usualGrowth(false)
  // Where the machine is busy, up to 0.5 MB of what happens to be alive are moved to the old part.
  t.ok(left < 2_000_000, `${left} bytes`)
  // Of V8 as it is in Node.js 20 and 24: 7 and 8 MB.
  t.comment(`a set would leave ${await usualGrowth(true)} bytes`)
})
