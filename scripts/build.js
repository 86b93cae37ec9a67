/**
 * The build: tsc compiles src/, and esbuild the page's script and style, into .build/. Each changed file is then renamed into dist/, so
 * that a server running from dist/ always finds its files. Files without a source stay in dist/ for the same reason; `--prune` removes
 * them.
 */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** Its time is the beginning of the build, so that a source changed during the build counts as newer. */
const STAMP = '.build/built'
const NEXT = `.build/next-${process.pid}`

const run = (command) => new Promise((resolve, reject) => {
  spawn(command, { shell: true, stdio: 'inherit' }).once('error', reject).once('exit', (code) => {
    if (code === 0) resolve()
    else process.exit(1)
  })
})

const files = (folder) => readdirSync(folder, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile()).map((entry) => relative(folder, join(entry.parentPath, entry.name)))

const began = new Date()
await Promise.all([run('tsc -p tsconfig.build.json'), run('npm run --silent build:web -- --outdir=.build/web')])

const made = [...files('src').map((name) => name.replace(/\.ts$/, '.js')), ...files('.build/web').map((name) => join('web', name))]
for (const name of made) {
  const [source, target] = [join('.build', name), join('dist', name)]
  if (existsSync(target) && readFileSync(target).equals(readFileSync(source))) continue
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(source, NEXT)
  renameSync(NEXT, target)
}
// npx makes the program executable only at installation.
chmodSync('dist/cli.js', 0o755)
if (process.argv.includes('--prune')) for (const name of files('dist')) if (!made.includes(name)) rmSync(join('dist', name))
writeFileSync(STAMP, '')
utimesSync(STAMP, began, began)
