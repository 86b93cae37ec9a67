/** The bench: its load generators against a real server, and what it makes of their figures. No test asserts a speed. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { chart } from '../bench/chart.ts'
import { check } from '../bench/check.ts'
import { cleanUp } from '../bench/children.ts'
import { bestGenerator, generate, generatorWords, loadWords, type GeneratorName } from '../bench/generator.ts'
import { Histogram } from '../bench/load/histogram.ts'
import { errorsOf, type LoadResult } from '../bench/load/result.ts'
import { benchOptions } from '../bench/options.ts'
import type { Measured, ScenarioRun } from '../bench/rounds.ts'
import { scenarios, type EndpointName, type Load } from '../bench/scenarios.ts'
import { median, sameRoundRatio } from '../bench/statistics.ts'
import { ENV, ROOT, serve } from './support.ts'

const WINDOW = { seconds: 0.25, warmup: 0.05 }
const GENERATORS: readonly GeneratorName[] = ['c', 'node']
const noGcc = (generator: GeneratorName) => generator === 'c' && bestGenerator() !== 'c' ? 'no gcc' : false

t.teardown(cleanUp)

t.test('a percentile of the histogram is within 2 % of that of the sorted values', async () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 1, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 200 }), fc.double({ min: 0, max: 1, noNaN: true }), (values, share) => {
    const histogram = new Histogram()
    for (const value of values) histogram.add(value)
    const sorted = values.toSorted((a, b) => a - b)
    const exact = sorted[Math.min(values.length - 1, Math.floor(values.length * share))] as number
    // Values are counted in tenths of a microsecond.
    return Math.abs(histogram.percentile(share) - exact) <= exact * 0.02 + 0.1
  }))
})

t.test('a histogram without values has percentiles of 0', async (t) => {
  t.equal(new Histogram().percentile(0.99), 0)
})

t.test('the median leaves out what is not there', async (t) => {
  t.equal(median([3, null, 1, undefined, Number.NaN, 2]), 2)
  t.equal(median([4, 1]), 2.5)
  t.equal(median([null]), undefined)
})

t.test('a ratio compares only what was measured in the same round', async (t) => {
  const samples = [
    { target: 'a', round: 0, value: 2 }, { target: 'base', round: 0, value: 1 },
    { target: 'a', round: 1, value: 30 }, { target: 'base', round: 1, value: 10 },
    { target: 'a', round: 2, value: 1000 }
  ]
  t.equal(sameRoundRatio(samples, 'a', 'base', ({ value }) => value), 2.5)
  t.equal(sameRoundRatio(samples, 'a', 'nobody', ({ value }) => value), undefined)
})

const LOADS: readonly Load[] = [
  { mode: 'tcp', endpoint: 'echo', connections: 3, size: 64, depth: 2 },
  { mode: 'tcp', endpoint: 'echo', connections: 2, size: 65_536, depth: 4 },
  { mode: 'ws', endpoint: 'ws', connections: 3, size: 16, depth: 16 },
  { mode: 'ws', endpoint: 'ws', connections: 2, size: 70_000, depth: 2, isText: true },
  { mode: 'http', endpoint: 'http', connections: 3, depth: 4 },
  { mode: 'http', endpoint: 'page', connections: 1, isVarying: true },
  { mode: 'http-close', endpoint: 'http', connections: 3 },
  { mode: 'udp', endpoint: 'udp', connections: 2, size: 64, depth: 4 },
  { mode: 'time-churn', endpoint: 'time', connections: 2, sources: process.platform === 'linux' ? 4 : 1 },
  { mode: 'echo-churn', endpoint: 'echo', connections: 2, size: 64 },
  { mode: 'sink', endpoint: 'sink', connections: 2, size: 65_536 },
  { mode: 'ws-hold', endpoint: 'ws', connections: 20, size: 16 },
  { mode: 'tcp-hold', endpoint: 'echo', connections: 20, size: 64 }
]

for (const generator of GENERATORS) {
  t.test(`the load generator in ${generator}: every load gives operations, and no errors`, { skip: noGcc(generator) }, async (t) => {
    const server = await serve(t, { PROFILE: 'bench' })
    const service: Readonly<Record<EndpointName, string>> = { http: 'http', page: 'http', ws: 'http', echo: 'echo', time: 'time', sink: 'sink', udp: 'udp-echo' }
    const path = { http: '/healthz', ws: '/ws/echo' } as Partial<Record<EndpointName, string>>
    // One after another: a stream would leave the others nothing of a busy machine.
    for (const load of LOADS) {
      const endpoint = { ...server.target(service[load.endpoint]), path: path[load.endpoint] ?? '/' }
      const result = await generate([...generatorWords(generator), ...loadWords(load, endpoint, WINDOW, server.pid)])
      const what = `${load.mode} ${load.size ?? ''}`
      t.ok(result.operations > 0, `${what}: operations`)
      t.equal(errorsOf(result), 0, `${what}: no errors ${result.note}`)
      t.ok(load.mode === 'sink' || (result.p50 > 0 && result.p50 <= result.p99 && result.p99 <= result.max * 1.01), `${what}: latencies in order`)
      if (load.mode.endsWith('-hold')) t.match(result.hold, { asked: 20, opened: 20, alive: 20 }, `${what}: all are held`)
      if (process.platform === 'linux') t.type(result.serverCpuUs, 'number', `${what}: the server's CPU time`)
    }
  })

  t.test(`the load generator in ${generator}: a changed byte is an error, and its connection gives no more operations`, { skip: noGcc(generator) }, async (t) => {
    const server = createServer((socket) => {
      socket.on('error', () => {}).on('data', (chunk) => socket.write(chunk.fill('!', chunk.length - 1)))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => server.close())
    const endpoint = { host: '127.0.0.1', port: (server.address() as AddressInfo).port, path: '/' }
    for (const mode of ['tcp', 'echo-churn'] as const) {
      const result = await generate([...generatorWords(generator), ...loadWords({ mode, endpoint: 'echo', connections: 3, size: 64 }, endpoint, WINDOW, 0)])
      t.ok(result.wrongErrors >= 3, `${mode}: errors`)
      t.equal(result.operations, 0, `${mode}: no operations`)
    }
  })

  t.test(`the load generator in ${generator}: nobody there is an error`, { skip: noGcc(generator) }, async (t) => {
    const result = await generate([...generatorWords(generator), ...loadWords({ mode: 'ws', endpoint: 'ws', connections: 2, size: 16 }, { host: '127.0.0.1', port: 1, path: '/' }, WINDOW, 0)])
    t.match(result, { operations: 0, connectErrors: 2, note: /refused/i })
  })

  t.test(`the load generator in ${generator}: refuses another host, and what it does not know`, { skip: noGcc(generator) }, async (t) => {
    await Promise.all(([
      ['tcp --host 192.0.2.1 --port 9', /not this machine/],
      ['tcp --port 0', /--port takes/],
      ['smtp --port 9', /the modes are/],
      ['tcp --port 9 --seconds 3600', /--seconds/]
    ] as const).map(([words, message]) => t.rejects(generate([...generatorWords(generator), ...words.split(' ')]), { message }, words)))
  })
}

/** A run in which an operation of oneloop's costs `cost`, and those of its peers what is said. */
function runOf (name: string, cost: number, errors = 0, peers: Readonly<Record<string, number>> = { node: 1 }): ScenarioRun {
  const scenario = scenarios.find((one) => one.name === name)
  if (!scenario) throw new Error(`no scenario ${name}`)
  const parts: Record<string, LoadResult> = {}
  const measured = (target: string, cpuUsPerOperation: number): Measured =>
    ({ target, round: 0, parts, operationsPerSecond: 1, cpuUsPerOperation, serverCpu: 1, generatorCpu: 0.5, residentKb: 1, errors: target === 'oneloop' ? errors : 0, lost: 0 })
  return { scenario, measured: [measured('oneloop', cost), ...Object.entries(peers).map(([peer, cost]) => measured(peer, cost))], failures: {}, others: [], notes: [] }
}

t.test('the check fails on a ratio that is over 1.5 times the expected one in every round, on an error, and where there is nothing to compare', async (t) => {
  const expected = { node: { 'tcp-64k': 0.4 } }
  t.equal(check([runOf('tcp-64k', 0.59)], expected).isRight, true)
  t.equal(check([runOf('tcp-64k', 0.61)], expected).isRight, false)
  t.match(check([runOf('tcp-64k', 0.61)], expected).lines, [/FAILED +tcp-64k: 0\.61 × node \(0\.61 in the best round; at most 0\.60\)$/, 'bench: 0 passed, 1 failed'])
  const noisy = { ...runOf('tcp-64k', 9), measured: [...runOf('tcp-64k', 9).measured, ...runOf('tcp-64k', 0.5).measured.map((one) => ({ ...one, round: 1 }))] }
  t.equal(check([noisy], expected).isRight, true, 'one round of two')
  t.equal(check([runOf('tcp-64k', 0.4, 1)], expected).isRight, false, 'a wrong byte')
  t.equal(check([{ ...runOf('tcp-64k', 0.4), measured: [], failures: { oneloop: 'did not start' } }], expected).isRight, false, 'not measured')
  t.match(check([runOf('udp-64', 9)], expected), { isRight: false, lines: [/udp-64: no ratio is expected$/, 'bench: 0 passed, 0 failed'] }, 'nothing was compared')
  t.match(check([runOf('tcp-64k', 9, 0, {})], expected).lines, [/tcp-64k: no ratio could be measured$/, 'bench: 0 passed, 0 failed'])
  t.equal(check([runOf('udp-64', 9), runOf('tcp-64k', 0.4)], expected).isRight, true, 'nothing is expected of one')
})

t.test('the check fails only what is out against every peer that was measured', async (t) => {
  const expected = { node: { 'tcp-64k': 0.4 }, c: { 'tcp-64k': 1 } }
  const besides = (c: number) => check([runOf('tcp-64k', 0.8, 0, { node: 1, c })], expected)
  t.equal(check([runOf('tcp-64k', 0.8)], expected).isRight, false, 'there is no c')
  t.equal(besides(0.6).isRight, true, 'a bare Node.js that is cheap today: 0.8 × node, 1.33 × c')
  t.equal(besides(0.5).isRight, false, '1.6 × c')
  t.match(besides(0.5).lines[0], /FAILED +tcp-64k: 0\.80 × node \(.*\); 1\.60 × c \(1\.60 in the best round; at most 1\.50\)$/)
})

t.test('the chart is well-formed, and names its scenarios and targets', async (t) => {
  const svg = chart([runOf('tcp-64k', 0.4), runOf('udp-64', 12)], ['oneloop', 'node'], 'node', 'a <machine> & "more"') ?? ''
  for (const name of ['tcp-64k', 'udp-64', 'oneloop', 'role="img"', '<title id', '<desc id', '&lt;machine&gt; &amp; &quot;more&quot;']) t.ok(svg.includes(name), name)
  const open: string[] = []
  for (const [, end, name = '', , empty] of svg.matchAll(/<(\/?)([a-z]+)((?:\s[\w:-]+="[^"<]*")*)\s*(\/?)>/gi)) {
    if (end) t.equal(open.pop(), name, `</${name}> closes the last element`)
    else if (!empty) open.push(name)
  }
  t.same(open, [], 'every element is closed')
  t.notMatch(svg.replaceAll(/<\/?[a-z]+(?:\s[\w:-]+="[^"<]*")*\s*\/?>/gi, ''), /[<>]|&(?!\w+;|#\d+;)/, 'nothing else looks like an element')
  t.equal(chart([], [], 'node', ''), undefined)
})

t.test('wrong options are told', async (t) => {
  for (const [words, message] of [
    [['nonsense'], /no scenario nonsense/],
    [['--rounds', '0'], /--rounds takes 1-100/],
    [['--seconds', 'x'], /--seconds takes/],
    [['--targets', 'oneloop,apache'], /no target apache/],
    [['--base', 'apache'], /no target apache/],
    [['--generator', 'go'], /--generator takes/],
    [['--fast'], /--fast/]
  ] as const) t.throws(() => benchOptions(words), { name: 'OptionError', message }, words.join(' '))
})

async function bench (...args: string[]): Promise<{ code: number, stdout: string, stderr: string }> {
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), 'bench/bench.ts', ...args], { cwd: ROOT, env: ENV })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text })
  const [code] = await once(child, 'close') as [number]
  return { code, stdout, stderr }
}

t.test('the command: a wrong one exits with 2, and --list lists', async (t) => {
  const [wrong, remote, listed] = await Promise.all([bench('--nonsense'), bench('--against', 'ftp://127.0.0.1:21'), bench('--list')])
  t.match(wrong, { code: 2, stderr: /--nonsense/ })
  t.match(remote, { code: 2, stderr: /--against takes/ })
  t.equal(listed.code, 0)
  for (const { name } of scenarios) t.match(listed.stdout, name)
})

t.test('the command measures, prints JSON, and exits with 1 where a ratio is out', async (t) => {
  const expected = join(t.testdir({ 'expected.json': '{"node":{"tcp-64-d1":0.0001}}' }), 'expected.json')
  const { code, stdout, stderr } = await bench('tcp-64-d1', '--quick', '--wait', '0', '--rounds', '1', '--seconds', '0.2', '--targets', 'oneloop,node', '--check', '--expected', expected, '--json', '-')
  const { runs } = JSON.parse(stdout) as { runs: { scenario: string, measured: Measured[] }[] }
  t.match(runs, [{ scenario: 'tcp-64-d1', measured: [{ target: 'oneloop', errors: 0 }, { target: 'node', errors: 0 }] }])
  if (process.platform !== 'linux') return
  t.equal(code, 1)
  t.match(stderr, /FAILED +tcp-64-d1: .*\nbench: 0 passed, 1 failed/)
})

t.test('the command measures any other server by its URL', async (t) => {
  const server = createServer((socket) => { socket.on('error', () => {}).pipe(socket) }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const file = join(t.testdir(), 'tables.md')
  const { code, stdout } = await bench('tcp-64-d1', '--quick', '--wait', '0', '--rounds', '1', '--seconds', '0.3', '--targets', 'against', '--against', `tcp://localhost:${(server.address() as AddressInfo).port}`, '--markdown', file)
  t.equal(code, 0, stdout)
  t.match(stdout, /^ {2}against +[\d,]+ /m)
})
