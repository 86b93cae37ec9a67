/** Chromium for a test: CHROME_PATH, Playwright's own, Chrome, or Debian's. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { chromium, type Browser } from 'playwright-core'
import type { Test } from 'tap'

function findBrowser (): string | undefined {
  const names = ['google-chrome-stable', 'google-chrome', 'chromium', 'chromium-browser']
  const inPath = (process.env.PATH ?? '').split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)))
  return [process.env.CHROME_PATH, chromium.executablePath(), ...inPath].find((path) => path && existsSync(path))
}

/** Runs the tests; skips them if there is no browser, except in CI, where they fail. */
export async function withBrowser (t: Test, tests: (browser: Browser) => Promise<void>): Promise<void> {
  const executablePath = findBrowser()
  if (!executablePath) {
    if (process.env.CI) t.fail('no browser: set CHROME_PATH, or install chromium')
    else t.pass('the page in a browser', { skip: 'no browser: set CHROME_PATH, or install chromium' })
    return
  }
  const browser = await chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage']
  })
  await tests(browser).finally(() => browser.close())
}
