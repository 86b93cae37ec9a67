/** `npm start`: when it builds, what a build leaves alone, and a second start beside a running server. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { ENV, FREE_PORTS, ROOT, run, serverFor, until } from './support.ts'

/** A program that reads its files again and again until its standard input ends. */
const PROGRAM = `
import { readFileSync } from 'node:fs'
console.log('version 1')
if (process.argv.includes('watch')) {
  const look = setInterval(() => { for (const name of ['cli', 'late', 'gone']) readFileSync(new URL(\`./\${name}.js\`, import.meta.url)) })
  process.stdin.resume().once('end', async () => {
    clearInterval(look)
    const gone = './gone.js'
    console.log((await import(gone)).said)
  })
}
`

/** A checkout with a small program, and with the scripts and settings of this one. */
function checkout (t: Test) {
  const folder = mkdtempSync(join(tmpdir(), 'oneloop-'))
  t.teardown(() => rmSync(folder, { recursive: true, force: true }))
  const at = (name: string) => join(folder, name)
  for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'scripts']) cpSync(new URL(name, ROOT), at(name), { recursive: true })
  symlinkSync(fileURLToPath(new URL('node_modules', ROOT)), at('node_modules'))
  const files = { 'src/cli.ts': PROGRAM, 'src/late.ts': 'export const late = 1\n', 'src/gone.ts': "export const said = 'all there'\n", 'web/scripts/page.ts': 'export {}\n', 'web/styles/style.css': '' }
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(at(name), '..'), { recursive: true })
    writeFileSync(at(name), text)
  }
  /** Runs a script like npm. */
  const node = async (args: readonly string[], env: NodeJS.ProcessEnv = {}) => {
    const PATH = `${at('node_modules/.bin')}${delimiter}${ENV.PATH}`
    const child = spawn(process.execPath, args, { cwd: folder, env: { ...ENV, ...env, PATH }, stdio: ['ignore', 'pipe', 'inherit'] })
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => { stdout += text })
    const [status] = await once(child, 'close') as [number | null]
    return { status, stdout }
  }
  const changed = () => ['dist/cli.js', 'dist/late.js', 'dist/gone.js', '.build/built'].map((name) => statSync(at(name)).mtimeMs)
  return { folder, at, node, changed }
}

t.test('npm start', { skip: process.platform === 'win32' && 'links need rights there' }, async (t) => {
  const { folder, at, node, changed } = checkout(t)
  const start = (env: NodeJS.ProcessEnv = {}) => node(['scripts/start.js', 'serve'], { HTTP_PORT: '1', ...env })
  /** Writes a source that is newer than the build. */
  const write = (name: string, text: string) => {
    writeFileSync(at(name), text)
    const { mtimeMs } = statSync(at('.build/built'))
    utimesSync(at(name), mtimeMs / 1000 + 1, mtimeMs / 1000 + 1)
  }
  t.match(await start(), { status: 0, stdout: 'version 1\n' })
  t.ok(existsSync(at('dist/web/page.js')))
  const built = changed()
  t.match(await start(), { status: 0, stdout: 'version 1\n' })
  t.same(changed(), built, 'nothing is newer: nothing is built')

  const server = await serverFor(t)
  write('src/cli.ts', PROGRAM.replace('version 1', 'version 2'))
  t.match(await start({ HTTP_PORT: String(server.target('http').port) }), { stdout: 'version 1\n' })
  t.same(changed(), built, 'beside a server on its port nothing is built')

  const watching = spawn(process.execPath, ['dist/cli.js', 'watch'], { cwd: folder, env: ENV, stdio: ['pipe', 'pipe', 'inherit'] })
  t.teardown(() => { watching.kill('SIGKILL') })
  let said = ''
  watching.stdout.setEncoding('utf8').on('data', (text: string) => { said += text })
  await until(() => said !== '', 'it runs')
  rmSync(at('src/gone.ts'))
  t.match(await start(), { status: 0, stdout: 'version 2\n' })
  const [, late, gone] = changed()
  t.same([late, gone], built.slice(1, 3), 'what has not changed is left alone')
  write('src/late.ts', 'export const late: string = 1\n')
  t.match(await start(), { status: 1, stdout: /^src\/late\.ts\(1,14\): error TS2322/ })
  t.match(readFileSync(at('dist/late.js'), 'utf8'), 'late = 1', 'what does not compile is not swapped in')
  watching.stdin.end()
  t.same(await once(watching, 'close'), [0, null], 'a running program finds its files all the time')
  t.equal(said, 'version 1\nall there\n')

  write('src/late.ts', 'export const late = 2\n')
  t.match(await node(['scripts/build.js', '--prune']), { status: 0 })
  t.notOk(existsSync(at('dist/gone.js')), 'what is packed has no more than the sources make')
})

t.test('a second server on the same HTTP port says where oneloop is already running, and ends with 1', async (t) => {
  const { target, endpoint } = await serverFor(t)
  const { port } = target('http')
  for (const [env, args] of [[{ HTTP_PORT: String(port) }, []], [{ HOST: '::' }, ['--http-port', String(port)]]] as const) {
    t.same(await run(['serve', ...args], { env: { ...FREE_PORTS, ...env } }), {
      code: 1, stdout: '', stderr: `oneloop: already running at http://127.0.0.1:${port}/. A second one needs another HTTP_PORT\n`
    })
  }
  t.equal(endpoint('time').total, 0)
})

t.test('another program on the HTTP port is reported as such, even if it never answers', async (t) => {
  const mute = createServer(() => {}).listen(0, '127.0.0.1')
  t.teardown(() => { mute.close() })
  await once(mute, 'listening')
  const { port } = mute.address() as AddressInfo
  const { code, stderr } = await run(['serve'], { env: { ...FREE_PORTS, HTTP_PORT: String(port) } })
  t.equal(code, 1)
  t.match(stderr, new RegExp(`^oneloop: cannot start:\\n  HTTP_PORT=${port}: tcp port ${port} on 127\\.0\\.0\\.1 is in use by another program`))
})
