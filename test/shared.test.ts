/** src/shared: ctime, addresses, sizes, and work in pieces. */
import { setImmediate as nextTurn } from 'node:timers/promises'
import t from 'tap'
import { formatAddress, network, parseTarget, unmapped } from '../src/shared/address.ts'
import { formatBytes, parseBytes } from '../src/shared/bytes.ts'
import { ctime, ctimeNow } from '../src/shared/ctime.ts'
import { inPieces } from '../src/shared/in-pieces.ts'

t.test('ctime has the format of C', async (t) => {
  t.equal(ctime(new Date(2014, 0, 29, 19, 14, 15)), 'Wed Jan 29 19:14:15 2014')
  t.equal(ctime(new Date(2014, 1, 1, 0, 0, 0)), 'Sat Feb  1 00:00:00 2014')
  let now = new Date(2014, 0, 29, 19, 14, 15).getTime()
  t.intercept(Date, 'now', { value: () => now })
  t.equal(ctimeNow(), 'Wed Jan 29 19:14:15 2014')
  now += 999
  t.equal(ctimeNow(), 'Wed Jan 29 19:14:15 2014')
  now++
  t.equal(ctimeNow(), 'Wed Jan 29 19:14:16 2014')
})

t.test('addresses and sizes are parsed as people write them', async (t) => {
  const defaults = { host: '127.0.0.1', port: 9999 }
  t.same(parseTarget('example.org', defaults), { host: 'example.org', port: 9999 })
  t.same(parseTarget('example.org:80', defaults), { host: 'example.org', port: 80 })
  t.same(parseTarget(':80', defaults), { host: '127.0.0.1', port: 80 })
  t.same(parseTarget('::1', defaults), { host: '::1', port: 9999 })
  t.same(parseTarget('[::1]', defaults), { host: '::1', port: 9999 })
  t.same(parseTarget('[::1]:80', defaults), { host: '::1', port: 80 })
  for (const bad of ['', 'a:b', 'a:0', 'a:65536', 'http://a', '[a]:80', 'a b', 'a:1:2', '[::1']) t.throws(() => parseTarget(bad, defaults), RangeError, bad)
  t.equal(formatAddress('::1', 80), '[::1]:80')
  t.equal(unmapped('::ffff:10.0.0.1'), '10.0.0.1')
  t.equal(unmapped('::ffff:1'), '::ffff:1')
  t.equal(parseBytes('130MiB'), 136_314_880)
  t.equal(parseBytes('1.5 kB'), 1500)
  t.equal(parseBytes('7'), 7)
  for (const bad of ['', 'MiB', '-1', '1XiB', '1e9', '99999999GiB']) t.throws(() => parseBytes(bad), RangeError, bad)
  t.equal(formatBytes(136_314_880), '130 MiB')
})

t.test('the limits count an IPv4 address or an IPv6 /64 as one address', async (t) => {
  t.equal(network('192.0.2.1'), '192.0.2.1')
  t.equal(network('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2')
  t.equal(network('2001:db8:1:2::6'), '2001:db8:1:2')
  t.equal(network('2001:db8::6'), '2001:db8:0:0')
  t.equal(network('2001:db8::3:4:5:6'), '2001:db8:0:0')
  t.equal(network('::1'), '0:0:0:0')
  t.equal(network('::'), '0:0:0:0')
  t.equal(network('fe80::1%eth0'), 'fe80:0:0:0')
  t.not(network('2001:db8:0:1::1'), network('2001:db8:0:2::1'))
})

t.test('inPieces does a number of items a turn, the first ones at once, and is done in the turn after the last', async (t) => {
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

t.test('inPieces does nothing for an empty set', async (t) => {
  t.equal(inPieces(new Set(), 2, () => t.fail())(), true)
})

t.test('inPieces skips members that have left', async (t) => {
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

t.test('a later inPieces does not overtake an earlier one, whoever leaves', async (t) => {
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
