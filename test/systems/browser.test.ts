/** The page in a real browser. */
/// <reference lib="dom" />
/// <reference lib="dom.iterable" />
import { mkdirSync, readFileSync } from 'node:fs'
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import type { AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { ask } from '../../src/clients/tcp.ts'
import { connect, FREE_PORTS, serverFor, TIMEOUT_MS, until, type TestServer } from '../support.ts'
import { withBrowser } from './with-browser.ts'

const options = { timeoutMs: TIMEOUT_MS }
const axe = readFileSync(new URL('../../node_modules/axe-core/axe.min.js', import.meta.url), 'utf8')
const SCREENSHOTS = new URL('../../.tap/screenshots/', import.meta.url)

await withBrowser(t, browserTests)

async function browserTests (browser: Browser): Promise<void> {
  await t.test('the page loads without an error, and is live', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    t.equal(await page.title(), 'Tornado Framework')
    t.equal(await page.textContent('h1'), 'Welcome to the Tornado framework')
    await t.test('every service is listed and live', async (t) => {
      for (const { name, port } of server.app.endpoints) {
        t.equal(await page.textContent(`.service[data-service="${name}"][data-port="${port}"] .state`), 'open', name)
      }
      await ask(server.target('greeting'), options)
      await page.waitForSelector('.service[data-service="greeting"] [data-count="total"]:text-is("1")')
      await page.waitForSelector('.service[data-service="greeting"] [data-count="bytesOut"]:text-is("40 B")')
      const held = await connect(server.target('sink'))
      held.write('abc')
      await page.waitForSelector('.service[data-service="sink"] [data-count="open"]:text-is("1")')
      await page.waitForSelector('.service[data-service="sink"] [data-count="bytesIn"]:text-is("3 B")')
      held.destroy()
      await page.waitForSelector('.service[data-service="sink"] [data-count="open"]:text-is("0")')
    })
    await t.test('the process says what it is', async (t) => {
      t.equal(await page.textContent('#fact-pid'), String(process.pid))
      t.equal(await page.textContent('#fact-node'), process.version)
      t.match(await page.textContent('#fact-memory'), /^[\d.]+ MiB \(JavaScript objects [\d.]+ MiB\)$/)
      t.match(await page.textContent('#fact-sockets'), /^\d+ \(\d+ bound, \d+ connections?\)$/)
      const before = await page.textContent('#fact-uptime')
      await page.waitForFunction((text) => document.querySelector('#fact-uptime')?.textContent !== text, before)
    })
    await t.test('four lanes are drawn, each with its value, and the loop\'s own measures', async (t) => {
      t.equal(await page.locator('.lane-name').count(), 4)
      await measured(page)
      await page.waitForFunction(() => /^[\d.]+ ms late at most, busy \d+ % of the time$/.test(document.querySelector('#fact-loop')?.textContent ?? ''))
    })
  })

  await t.test('Block makes all four lanes wait, Wait and Worker none', async (t) => {
    const server = await serverFor(t)
    const { page, problems } = await open(t, browser, server)
    await measured(page)
    t.equal(await page.textContent('.invite'), 'Block', 'one button invites')
    // The longest lesson, next to which the pauses of a busy machine are short.
    await page.selectOption('#lesson-ms', '2000')
    await page.click('[data-lesson="block"]')
    await page.waitForFunction(() => [...document.querySelectorAll('.lane-state')].every(({ textContent }) => Number(/^(\d+) waiting$/.exec(textContent ?? '')?.[1]) > 5))
    await screenshot(page, 'block')
    const block = await said(page, 'Your code')
    const raised = await columns(page)
    t.equal(raised.length, 4)
    for (const [lane, count] of raised.entries()) t.ok(count > 10, `lane ${lane} is raised: ${count} columns`)
    const waits = [...block.matchAll(/ (\d+) ms(?=[,.])/g)].map(([, ms]) => Number(ms))
    t.match(block, /^Your code held the only thread for 2000 ms, so everybody waited: HTTP \d+ ms, WebSocket \d+ ms, TCP \d+ ms, UDP \d+ ms\.$/)
    t.ok(Math.min(...waits) > 1500, block)
    for (const [kind, next, beginning] of [['wait', 'Worker', 'A timer'], ['worker', undefined, 'Another thread']] as const) {
      t.equal(await page.textContent('.invite'), kind === 'wait' ? 'Wait' : 'Worker', 'the next one invites')
      await page.click(`[data-lesson="${kind}"]:not([aria-disabled=true])`)
      const text = await said(page, beginning)
      const longest = /nobody waited longer than (\d+) ms\.$/.exec(text)?.[1]
      t.ok(Number(longest) < Math.min(...waits) / 2, text)
      t.equal(await page.locator('.invite').count(), next ? 1 : 0)
    }
    for (const [lane, count] of (await columns(page)).entries()) t.ok(count < 1.5 * (raised[lane] ?? 0), `lane ${lane} is raised by neither: ${count} columns, ${raised[lane]} before`)
    await screenshot(page, 'lessons')

    await t.test('the code of the pressed button is what it runs: four lines', async (t) => {
      const code = await page.textContent('.code pre:not([hidden])') ?? ''
      t.equal(code.split('\n').length, 4)
      t.match(code, /^async function worker ?\(ms\) \{/)
    })
    await t.test('a lesson that begins as soon as another has ended is not taken for over', async (t) => {
      const teach = async (path: string) => await (await fetch(`http://127.0.0.1:${server.target('http').port}/api/lab/${path}`, { method: 'POST' })).text()
      await teach('block?ms=100')
      const other = teach('wait?ms=2000')
      await page.waitForFunction(() => document.querySelector('#said')?.textContent === 'Wait runs for 2000 ms …')
      t.equal(await page.locator('[data-lesson][aria-disabled=true]').count(), 3)
      await other
      await page.waitForFunction(() => document.querySelector('#said')?.textContent?.startsWith('A timer waited for 2000 ms'))
      t.equal(await page.locator('[data-lesson][aria-disabled=true]').count(), 0)
    })
    await t.test('a refused press says why, and when it will work', async (t) => {
      await page.selectOption('#lesson-ms', '1000')
      // Somebody else's lesson.
      const other = fetch(`http://127.0.0.1:${server.target('http').port}/api/lab/wait?ms=2000`, { method: 'POST' })
      await page.waitForSelector('[data-lesson="block"][aria-disabled=true]')
      t.match(await page.textContent('#said'), 'Wait runs for 2000 ms')
      // Pressed in the moment before this page had heard of it.
      await page.evaluate(() => { for (const button of document.querySelectorAll('[data-lesson]')) button.removeAttribute('aria-disabled') })
      await page.click('[data-lesson="block"]')
      await page.waitForFunction(() => document.querySelector('#said')?.textContent?.startsWith('Refused'))
      t.match(await page.textContent('#said'), /^Refused: Wait is running, and one lesson runs at a time\. It works again at \d/)
      t.match(await page.textContent('[data-lesson="block"]'), /^in [12] s$/)
      await other
      await page.waitForSelector('[data-lesson="block"]:not([aria-disabled=true])')
      t.equal(await page.textContent('[data-lesson="block"]'), 'Block')
      t.match(problems, [/429/], 'the browser says so in its console, too')
      problems.length = 0
    })
  })

  await t.test('a browser whose clock is wrong draws the same', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server, {}, 3_600_000)
    await measured(page)
    await page.selectOption('#lesson-ms', '2000')
    await page.click('[data-lesson="block"]')
    await said(page, 'Your code')
    for (const [lane, count] of (await columns(page)).entries()) t.ok(count > 10 && count < 300, `lane ${lane} is raised: ${count} columns`)
  })

  await t.test('Run it shows a transcript of every service', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    for (const { name, port, transport } of server.app.endpoints) {
      const row = page.locator(`.service[data-service="${name}"][data-port="${port}"]`)
      await row.locator('[data-run]').click()
      await row.locator('.transcript li').first().waitFor()
      t.equal(await row.locator('.run-result .problem').count(), 0, name)
      t.ok(await row.locator(`.run-result .events li[data-service="${name}"]`).count() > 0, `${name}: and what the server saw`)
      const verdict = await row.locator('.verdict').textContent()
      if (name === 'echo') t.match(verdict, /^3 writes went out, [12] reads? came back: TCP is a stream of bytes and has no message boundaries\.$/)
      if (name === 'ws-echo') t.match(verdict, /^3 messages went out, 3 came back/)
      if (name === 'udp-echo') t.match(verdict, /^3 datagrams went out, 3 came back/)
      if (transport === 'tcp') t.match(await row.locator('.transcript').textContent(), /connect.*FIN/s, name)
    }
    const echo = page.locator('.service[data-service="echo"]').first().locator('.transcript')
    t.match(await echo.textContent(), '48 65 6c 6c')
    t.match(await echo.textContent(), 'Hell')
    const result = page.locator('.service[data-service="echo"]').first().locator('.run-result')
    await result.locator('.close').click()
    t.equal(await result.textContent(), '', 'it can be closed')
    t.equal(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.run), 'echo', 'the focus is back where it was run')
    t.match(await page.locator('.service[data-service="echo"] .run-said').first().textContent(), 'no message boundaries', 'a screen reader hears what it showed')
  })

  await t.test('a line is copied with one press', async (t) => {
    const server = await serverFor(t)
    const { page, context } = await open(t, browser, server)
    await context.grantPermissions(['clipboard-read', 'clipboard-write'])
    const row = page.locator('.service[data-service="greeting"]')
    await row.locator('.paste button').first().click()
    await row.locator('.paste button span:text-is("Copied")').waitFor()
    t.equal(await page.evaluate(() => navigator.clipboard.readText()), `nc -N 127.0.0.1 ${server.target('greeting').port} </dev/null`)
  })

  await t.test('the playground connects by itself, echoes text and binary, and closes as asked', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    const newest = (kind: string) => page.locator(`#frames li:has(.step:text-is("← ${kind}"))`).last()
    const told = async (kind: string) => (await newest(kind).locator('span, code').allTextContents()).slice(1)
    await page.fill('#ws-send [name=message]', 'Grüße')
    await page.click('#ws-send [type=submit]')
    await newest('text').waitFor()
    t.equal(await page.textContent('#ws-state'), 'connected')
    t.match(await told('text'), [/^7 B · [\d.]+ ms$/, 'Grüße'])
    await page.check('#ws-send [value=binary]')
    await page.fill('#ws-send [name=message]', '00 ff 1')
    await page.click('#ws-send [type=submit]')
    t.match(await page.textContent('#ws-problem'), 'hex, two digits for each byte')
    await page.fill('#ws-send [name=message]', '00 ff 10')
    await page.click('#ws-send [type=submit]')
    await newest('binary').waitFor()
    t.match(await told('binary'), [/^3 B · [\d.]+ ms$/, '00 ff 10'])
    await page.fill('#ws-close [name=code]', '1001')
    await page.click('#ws-close [type=submit]')
    t.match(await page.textContent('#ws-problem'), '1000 or with a code from 3000 to 4999, not with 1001, going away')
    await page.fill('#ws-close [name=code]', '4321')
    await page.fill('#ws-close [name=reason]', 'enough')
    await page.click('#ws-close [type=submit]')
    await page.waitForSelector('#ws-state:has-text("closed with 4321, a code of the application: enough")')
    await until(() => server.log.some(({ reason }) => reason === 'close code 4321'), 'the server had the code')
    await page.waitForSelector('#events li[data-service="ws-echo"].yours:has-text("closed with 4321")')
    await page.click('#ws-send [type=submit]')
    await page.waitForSelector('#ws-state:text-is("connected")')
  })

  await t.test('the wire shows a TCP connection from connect to close, and follows it', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    const rows = (service: string) => page.locator(`#events li[data-service="${service}"]`)
    const socket = await connect(server.target('echo'))
    socket.write('abc')
    await page.locator('#events li[data-service="echo"][data-type="receive"]').waitFor()
    t.match(await rows('echo').last().locator('.you').textContent(), 'you')
    await rows('echo').locator('[data-follow]').first().click()
    // Whatever the filter says, the connection that is followed is shown.
    await page.uncheck('#wire-filter [value=tcp]')
    await page.waitForFunction(() => document.querySelectorAll('#follow-events li').length === 3)
    socket.write('de')
    await page.waitForSelector('#follow-events li:has-text("received 2 bytes")')
    await page.check('#wire-filter [value=tcp]')
    socket.end()
    await page.waitForSelector('#follow-events li:has-text("closed: the client ended it")')
    const life = (await page.locator('#follow-events li span').allTextContents())
    t.match(life, [/^connected from 127\.0\.0\.1:\d+$/, 'received 3 bytes', 'sent 3 bytes', 'received 2 bytes', 'sent 2 bytes', 'the client sent its FIN', 'closed: the client ended it; 5 B came in, 5 B went out'])
    t.match(await page.textContent('#follow-about'), /^Connection \d+ · TCP echo · 127\.0\.0\.1:\d+ · 5 B in, 5 B out$/)
    const types = await rows('echo').evaluateAll((all) => all.map((row) => (row as HTMLElement).dataset.type))
    t.same(types, ['connect', 'receive', 'send', 'receive', 'send', 'half-close', 'close'])

    await t.test('filters', async (t) => {
      await page.uncheck('#wire-filter [value=tcp]')
      t.equal(await rows('echo').locator('visible=true').count(), 7, 'the one that is followed stays')
      await page.click('#follow-stop')
      await page.uncheck('#wire-filter [value=http]')
      await page.check('#wire-filter [value=tcp]')
      await page.selectOption('#wire-filter [name=service]', 'greeting')
      t.equal(await page.locator('#events li').count(), 0)
      await ask(server.target('time'), options)
      await ask(server.target('greeting'), options)
      await rows('greeting').first().waitFor()
      t.equal(await rows('time').count(), 0)
      await page.selectOption('#wire-filter [name=service]', '')
    })
    await t.test('explains a refusal, with a link to its limit', async (t) => {
      await page.check('#wire-filter [value=udp]')
      const sender = createSocket('udp4')
      for (let i = 0; i < 30; i++) sender.send('x', server.target('listener').port, '127.0.0.1')
      const refusal = page.locator('#events li.refused[data-service="listener"]').last()
      await refusal.waitFor()
      t.match(await refusal.locator('.what').textContent(), /^datagram dropped: UDP_RATE, 10 per second/)
      t.notOk(await page.isVisible('#limit-UDP_RATE'))
      await refusal.locator('a').click()
      await page.waitForSelector('#limit-UDP_RATE:has-text("10 per second")')
      sender.close()
    })
    await t.test('pauses', async (t) => {
      await page.click('#wire-pause')
      const before = await page.locator('#events li').count()
      await ask(server.target('greeting'), options)
      await page.waitForFunction(() => /paused: [1-9]\d* since/.test(document.querySelector('#events-count')?.textContent ?? ''))
      t.equal(await page.locator('#events li').count(), before)
      await page.click('#wire-pause')
      await page.waitForFunction((count) => document.querySelectorAll('#events li').length > count, before)
    })
    await t.test('stays smooth at 2,000 events a second, and says how many it does not show', async (t) => {
      const sender = createSocket('udp4')
      sender.connect(server.target('listener').port, '127.0.0.1')
      await once(sender, 'connect')
      const timer = setInterval(() => { for (let i = 0; i < 100; i++) sender.send('x') }, 50)
      // Frames that the page drew while the flood came: far apart where it does not keep up.
      const gaps = await page.evaluate(() => new Promise<number[]>((resolve) => {
        const gaps: number[] = []
        let last = performance.now()
        const frame = (now: number) => {
          gaps.push(now - last)
          last = now
          if (gaps.length < 120) requestAnimationFrame(frame)
          else resolve(gaps)
        }
        requestAnimationFrame(frame)
      }))
      clearInterval(timer)
      gaps.sort((a, b) => a - b)
      // Ten batches come a second. A slow machine draws once for each; a page that does not keep up misses several.
      t.ok((gaps[60] ?? Infinity) < 250, `half of the frames came within ${gaps[60]} ms`)
      t.equal(await page.locator('#events li').count(), 100)
      for (let i = 0; i < 1000; i++) sender.send('x')
      await page.waitForFunction(() => /^[1-9]\d* events? not shown: too many at once$/.test(document.querySelector('#events-count')?.textContent ?? ''))
      sender.close()
    })
  })

  await t.test('a restart of the server is noticed and healed', async (t) => {
    // Fixed ports: a free one could go to another test's server while this one is away.
    const portsFrom = (start: number) => Object.fromEntries(Object.keys(FREE_PORTS).map((name, i) => [name, String(start + i)]))
    const ports = portsFrom(28_200)
    const first = await serverFor(t, ports)
    const { page, problems } = await open(t, browser, first)
    await page.evaluate(() => { document.title = 'not reloaded' })
    await ask(first.target('sink'), { send: Buffer.from('abc'), ...options })
    await page.locator('#events li[data-service="sink"]').first().waitFor()
    await page.evaluate(() => {
      const made: WebSocket[] = []
      Object.assign(globalThis, { made, WebSocket: class extends WebSocket { constructor (url: string) { super(url); made.push(this) } } })
    })
    await first.app.close()
    await page.waitForSelector('#link:has-text("Connection lost")')
    t.match(await page.textContent('#link-countdown'), /^Trying again (in \d+ s|now)\.$/)
    // It takes connections and says nothing, so that each try lasts.
    const sockets: Socket[] = []
    const silent = createServer((socket) => { sockets.push(socket.on('error', () => {})) }).listen(first.target('http').port, '127.0.0.1')
    t.teardown(() => {
      silent.close()
      for (const socket of sockets) socket.destroy()
    })
    await page.focus('#link-retry')
    await page.click('#link-retry')
    await until(() => sockets.length > 0, 'it tries')
    // One of them may have been refused just before, and comes by itself.
    const trying = () => (globalThis as unknown as { made: WebSocket[] }).made.filter(({ readyState }) => readyState === WebSocket.CONNECTING).length
    await until(async () => await page.evaluate(trying) === 2, 'both try')
    for (let i = 0; i < 3; i++) await page.click('#link-retry')
    t.equal(await page.evaluate(trying), 2, 'one try a link, however often it is pressed')
    t.equal(await page.evaluate(() => document.activeElement?.id), 'link-retry', 'the focus stays')
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => silent.close(resolve))
    const second = await serverFor(t, ports)
    await page.waitForSelector('#link-state:text-is("Live")')
    t.equal(await page.title(), 'not reloaded', 'it goes on where it was')
    t.equal(second.endpoint('ws-loop').open, 1, 'with one link, however often it was pressed')
    t.equal(second.endpoint('ws-feed').open, 1)
    t.equal(await page.locator('#events li[data-service="sink"]').count(), 0, 'connections of the former server are gone: the numbers begin again')
    await ask(second.target('greeting'), options)
    await page.locator('#events li[data-service="greeting"]').first().waitFor()
    await page.waitForSelector('.service[data-service="greeting"] [data-count="total"]:text-is("1")')
    await second.app.close()
    // On other ports: the page's lines would be wrong.
    const others = { ...portsFrom(28_300), HTTP_PORT: ports.HTTP_PORT }
    const third = await serverFor(t, others)
    await page.waitForSelector(`.service[data-service="greeting"][data-port="${third.target('greeting').port}"]`)
    await page.waitForSelector('#link-state:text-is("Live")')
    t.equal(await page.title(), 'Tornado Framework', 'it is a new page')
    await t.test('with another setting, too: a page without buttons', async (t) => {
      await third.app.close()
      await serverFor(t, { ...others, LAB: 'off' })
      await page.waitForSelector('body:not([data-has-probe])')
      await page.waitForSelector('#link-state:text-is("Live")')
      t.equal(await page.locator('[data-lesson]').count(), 0)
    })
    // 503: it is draining, or not all of its ports are open yet. RESET: it had not been accepted, or read, as the listener was closed.
    t.ok(problems.every((text) => /ERR_CONNECTION_RE(?:FUSED|SET)|closed before|response code: 503/.test(text)), problems.join('\n'))
    problems.length = 0
  })

  await t.test('a server that falls silent is noticed', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    // As if the network were gone: no FIN, no RST.
    await page.routeWebSocket('**/ws/loop', () => {})
    await page.reload()
    await page.waitForSelector('#link:has-text("Connection lost")', { timeout: 2 * TIMEOUT_MS })
  })

  for (const [name, settings] of [
    ['wide-light', { viewport: { width: 1440, height: 1000 }, colorScheme: 'light' }],
    ['wide-dark', { viewport: { width: 1440, height: 1000 }, colorScheme: 'dark' }],
    ['narrow-light', { viewport: { width: 360, height: 780 }, colorScheme: 'light', reducedMotion: 'reduce' }],
    ['narrow-dark', { viewport: { width: 360, height: 780 }, colorScheme: 'dark' }]
  ] as [string, BrowserContextOptions][]) {
    await t.test(`${name}: axe-core finds nothing serious, and nothing is wider than the screen`, async (t) => {
      const server = await serverFor(t)
      const { page } = await open(t, browser, server, settings)
      await page.click('[data-lesson="wait"]')
      await page.waitForFunction(() => document.querySelector('#said')?.textContent?.startsWith('A timer'))
      await page.locator('.service[data-service="echo"] [data-run]').first().click()
      await page.locator('.service[data-service="echo"] .transcript li').first().waitFor()
      await page.locator('.service[data-service="ws-echo"] summary').click()
      await page.locator('#events [data-follow]').first().click()
      await page.click('#ws-send [type=submit]')
      await page.waitForSelector('#ws-state:text-is("connected")')
      await page.locator('.limits summary').click()
      await page.evaluate(axe)
      const { violations } = await page.evaluate(() => (globalThis as unknown as { axe: { run (): Promise<AxeResults> } }).axe.run())
      t.same(violations.filter(({ impact }) => impact === 'serious' || impact === 'critical').map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 100)).join(' ')}`), [])
      const { width, scroll } = await page.evaluate(() => ({ width: innerWidth, scroll: document.documentElement.scrollWidth }))
      t.equal(scroll, width)
      await screenshot(page, name)
    })
  }

  await t.test('who prefers reduced motion sees a chart that moves once a second', async (t) => {
    const server = await serverFor(t)
    for (const reducedMotion of ['reduce', 'no-preference'] as const) {
      const { page } = await open(t, browser, server, { reducedMotion })
      await measured(page)
      // The most pictures within 1.5 s: a chart that moves is looked at until it has moved, however busy the machine is.
      const most = await page.evaluate(async (lookMs) => {
        const seen = new Set<string>()
        let times: number[] = []
        let most = 0
        for (const end = performance.now() + lookMs; performance.now() < end && most < 4;) {
          const picture = document.querySelector<HTMLCanvasElement>('#round-trips')?.toDataURL() ?? ''
          const now = performance.now()
          if (!seen.has(picture)) times = [...times, now].filter((at) => now - at < 1500)
          seen.add(picture)
          most = Math.max(most, times.length)
          await new Promise(requestAnimationFrame)
        }
        return most
      }, reducedMotion === 'reduce' ? 5000 : TIMEOUT_MS)
      if (reducedMotion === 'reduce') t.ok(most >= 1 && most < 4, `reduced: ${most} pictures in 1.5 s`)
      else t.equal(most, 4, 'else it moves several times a second')
    }
  })

  await t.test('everything is reached by keyboard alone', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server)
    const reached = new Set<string>()
    for (let i = 0; i < 120; i++) {
      await page.keyboard.press('Tab')
      const at = await page.evaluate(() => {
        const { id, tagName, dataset, textContent } = document.activeElement as HTMLElement
        return dataset.lesson ?? (dataset.run ? `run ${dataset.run}` : id || (tagName === 'SUMMARY' ? 'lines' : `${tagName} ${textContent?.trim().slice(0, 20)}`))
      })
      if (at === 'wait' && !reached.has(at)) {
        await page.keyboard.press('Enter')
        await said(page, 'A timer')
        t.equal(await page.evaluate(() => (document.activeElement as HTMLElement).dataset.lesson), 'wait', 'the focus stays')
      }
      reached.add(at)
    }
    for (const control of ['lesson-ms', 'block', 'wait', 'worker', 'wire-pause', 'lines', 'run echo', 'BUTTON Send']) t.ok(reached.has(control), control)
    t.match(await page.textContent('#said'), /nobody waited longer/)
  })

  await t.test('without JavaScript the heading, the services and the lines are there, and nothing that does not work', async (t) => {
    const server = await serverFor(t)
    const { page } = await open(t, browser, server, { javaScriptEnabled: false })
    t.equal(await page.textContent('h1'), 'Welcome to the Tornado framework')
    for (const { name } of server.app.endpoints) t.ok(await page.locator(`.service[data-service="${name}"]`).first().isVisible(), name)
    await page.locator('.service[data-service="echo"] summary').first().click()
    t.match(await page.locator('.service[data-service="echo"] .paste code').first().innerText(), /nc -N 127\.0\.0\.1 \d+/)
    for (const selector of ['button', '#stage', '#wire-filter', '#ws-send']) t.equal(await page.locator(selector).locator('visible=true').count(), 0, selector)
    await screenshot(page, 'without-script')
  })

  await t.test('with LAB=off the page has no buttons, and is live all the same', async (t) => {
    const server = await serverFor(t, { LAB: 'off' })
    const { page } = await open(t, browser, server)
    t.equal(await page.locator('[data-lesson], [data-run]').count(), 0)
    await page.waitForFunction(() => /late at most/.test(document.querySelector('#fact-loop')?.textContent ?? ''))
    await ask(server.target('greeting'), options)
    await page.locator('#events li[data-service="greeting"]').first().waitFor()
  })

  await t.test('the first paint takes less than 100 KB, gzipped, and nothing comes from elsewhere', async (t) => {
    const server = await serverFor(t)
    const context = await browser.newContext()
    t.teardown(() => context.close())
    const page = await context.newPage()
    const bodies: Promise<Buffer>[] = []
    const urls: string[] = []
    page.on('response', (response) => {
      urls.push(response.url())
      bodies.push(response.body())
    })
    await page.goto(`http://127.0.0.1:${server.target('http').port}/`, { waitUntil: 'load' })
    await page.waitForSelector('#link-state:text-is("Live")')
    await measured(page)
    const shift = await page.evaluate(() => new Promise<number>((resolve) => {
      new PerformanceObserver((list) => resolve(list.getEntries().reduce((sum, entry) => sum + (entry as PerformanceEntry & { value: number }).value, 0)))
        .observe({ type: 'layout-shift', buffered: true })
      setTimeout(() => resolve(0), 500)
    }))
    // Web Vitals call up to 0.1 good.
    t.ok(shift < 0.05, `nothing moves while it loads: a layout shift of ${shift}`)
    t.ok(urls.length >= 3)
    t.ok(urls.every((url) => new URL(url).port === String(server.target('http').port)))
    const size = (await Promise.all(bodies)).reduce((sum, body) => sum + gzipSync(body).length, 0)
    t.ok(size > 20_000 && size < 100_000, `${size} bytes`)
  })
}

/** Opens the page and waits until it is live; at the end of the test its console must have been silent. */
async function open (t: Test, browser: Browser, { target }: TestServer, settings: BrowserContextOptions = {}, clockAheadMs = 0) {
  const context = await browser.newContext(settings)
  if (clockAheadMs) await context.addInitScript((ahead) => { const { now } = Date; Date.now = () => now() + ahead }, clockAheadMs)
  const page: Page = await context.newPage()
  const problems: string[] = []
  page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(message.text()) })
  page.on('pageerror', (error) => { problems.push(error.message) })
  page.setDefaultTimeout(TIMEOUT_MS)
  await page.goto(`http://127.0.0.1:${target('http').port}/`)
  if (settings.javaScriptEnabled !== false) await page.waitForSelector('#link-state:text-is("Live")')
  t.teardown(async () => {
    await context.close()
    if (problems.length > 0) throw new Error(`the console says: ${problems.join('\n')}`)
  })
  return { page, context, problems }
}

/** Until every lane shows a round trip. */
async function measured (page: Page): Promise<void> {
  await page.waitForFunction(() => [...document.querySelectorAll('.lane-state')].every(({ textContent }) => /\d/.test(textContent ?? '')))
}

/** The sentence that begins so, once it is there. */
async function said (page: Page, beginning: string): Promise<string> {
  await page.waitForFunction((beginning) => document.querySelector('#said')?.textContent?.startsWith(beginning), beginning)
  return await page.textContent('#said') ?? ''
}

/** Of each protocol's row in the chart, the columns that are coloured a third of its height up: how long its round trips were long. */
async function columns (page: Page): Promise<number[]> {
  return await page.evaluate(() => {
    const canvas = document.querySelector<HTMLCanvasElement>('#round-trips') as HTMLCanvasElement
    const { width, height } = canvas
    const copy = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D
    copy.drawImage(canvas, 0, 0)
    const { data } = copy.getImageData(0, 0, width, height)
    const scale = height / canvas.clientHeight
    const rowHeight = (canvas.clientHeight - 48) / 4
    return [0, 1, 2, 3].map((row) => {
      const y = Math.round((24 + rowHeight * (row + 1) - 5 - (rowHeight - 7) * 0.33) * scale)
      let count = 0
      for (let x = Math.round(122 * scale); x < width; x++) {
        const [r = 0, g = 0, b = 0, a = 0] = data.subarray(4 * (y * width + x), 4 * (y * width + x) + 4)
        if (a > 200 && Math.max(r, g, b) - Math.min(r, g, b) > 40) count++
      }
      return count
    })
  })
}

async function screenshot (page: Page, name: string): Promise<void> {
  mkdirSync(SCREENSHOTS, { recursive: true })
  await page.screenshot({ path: new URL(`${name}.png`, SCREENSHOTS).pathname, fullPage: true })
}
