/**
 * The build: src/ by tsc, the page's script and style by esbuild. They write to .build/, and from there the files go into dist/, each in
 * one step and only where it has changed: a server that runs from dist/ finds its files at any time. What no source makes any more
 * stays there for it, too, unless `--prune` asks for the build and nothing else.
 */
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** Its time is that of the build's begin: what changes meanwhile is newer. */
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
// npx sees to that only when it comes to know the program.
chmodSync('dist/cli.js', 0o755)
if (process.argv.includes('--prune')) for (const name of files('dist')) if (!made.includes(name)) rmSync(join('dist', name))
writeFileSync(STAMP, '')
utimesSync(STAMP, began, began)
