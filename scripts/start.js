/** `npm start`: builds if a source is newer than the build, and serves. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

const BUILT = '.build/built'
const SOURCES = ['src', 'web/scripts', 'web/styles', 'package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts/build.js']
const ANSWER_MS = 500

function isStale () {
  if (!existsSync(BUILT) || !existsSync('dist/cli.js')) return true
  const { mtimeMs } = statSync(BUILT)
  // A folder's time changes when files are added, renamed or deleted.
  const isNewer = (path) => {
    const stats = statSync(path)
    return stats.mtimeMs > mtimeMs || (stats.isDirectory() && readdirSync(path).some((name) => isNewer(join(path, name))))
  }
  return SOURCES.some(isNewer)
}

/** Whether oneloop is running on the HTTP port already: then nothing is built, and dist/cli.js reports it. */
async function isRunning () {
  const { values } = parseArgs({ options: { host: { type: 'string' }, 'http-port': { type: 'string' } }, strict: false })
  const hosts = String((values.host ?? process.env.HOST) || '127.0.0.1').split(',').map((host) => host === '::' || host === '0.0.0.0' ? '127.0.0.1' : host)
  const ports = String((values['http-port'] ?? process.env.HTTP_PORT) || '5001').split(',')
  const isOneloop = async (host, port) => {
    try {
      const answer = await fetch(`http://${host.includes(':') ? `[${host}]` : host}:${port}/api/services`, { signal: AbortSignal.timeout(ANSWER_MS) })
      return (await answer.json()).some(({ name }) => name === 'ws-feed')
    } catch {
      return false
    }
  }
  return (await Promise.all(hosts.flatMap((host) => ports.map((port) => isOneloop(host, port))))).includes(true)
}

if (isStale() && !(existsSync('dist/cli.js') && await isRunning())) {
  console.error('Building, because a source has changed …')
  await import('./build.js')
}
await import('../dist/cli.js')
