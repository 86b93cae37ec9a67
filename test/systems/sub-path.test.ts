/** The page behind nginx, under a path prefix. */
/// <reference lib="dom" />
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { serverFor, TIMEOUT_MS, until, without } from '../support.ts'
import { withBrowser } from './with-browser.ts'

/** A fixed port: nginx does not report which port it got for 0. */
const PORT = 28_450

const config = (folder: string, port: number) => `
daemon off; pid ${folder}/nginx.pid; error_log stderr; worker_processes 1;
events { worker_connections 64; }
http {
  access_log off;
  client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder}; uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
  map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
  server {
    listen 127.0.0.1:${PORT};
    location /lab/ {
      proxy_pass http://127.0.0.1:${port}/;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
    }
  }
}`

const accepts = async () => await new Promise<boolean>((resolve) => {
  const socket = connect(PORT, '127.0.0.1')
  socket.once('connect', () => resolve(true)).once('error', () => resolve(false)).once('connect', () => socket.destroy())
})

t.test('under a sub-path the page is live, teaches, runs services, and shows its errors with their style', { skip: without('nginx') }, async (t) => {
  const server = await serverFor(t)
  const folder = mkdtempSync(join(tmpdir(), 'oneloop-nginx-'))
  writeFileSync(join(folder, 'nginx.conf'), config(folder, server.target('http').port))
  const nginx = spawn('nginx', ['-c', join(folder, 'nginx.conf'), '-p', folder], { stdio: 'ignore' })
  const ended = once(nginx, 'exit')
  t.teardown(async () => {
    nginx.kill()
    await ended
    rmSync(folder, { recursive: true, force: true })
  })
  await until(accepts, 'nginx listens')
  await withBrowser(t, async (browser) => {
    const page = await browser.newPage()
    page.setDefaultTimeout(TIMEOUT_MS)
    const problems: string[] = []
    page.on('console', (message) => { if (['error', 'warning'].includes(message.type())) problems.push(message.text()) })
    await page.goto(`http://127.0.0.1:${PORT}/lab/`)
    await page.waitForSelector('#link-state:text-is("Live")')
    await page.click('[data-lesson="wait"]')
    await page.waitForFunction(() => document.querySelector('#said')?.textContent?.startsWith('A timer'))
    await page.locator('[data-run="greeting"]').click()
    await page.locator('.service[data-service="greeting"] .transcript li').first().waitFor()
    await page.click('#ws-send [type=submit]')
    await page.waitForSelector('#ws-state:text-is("connected")')
    t.same(problems, [])
    for (const path of ['nothing', 'nothing/at/all']) {
      await page.goto(`http://127.0.0.1:${PORT}/lab/${path}`)
      t.equal(await page.textContent('h1'), '404 Not Found')
      t.ok(await page.evaluate(() => document.styleSheets.length > 0), `${path}: with its style`)
      await page.click('main a')
      t.equal(await page.textContent('h1'), 'Welcome to the Tornado framework')
    }
  })
})
