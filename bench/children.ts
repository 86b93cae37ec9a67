/** The processes that the bench starts; it ends each by its id. */
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

export const ROOT = fileURLToPath(new URL('..', import.meta.url))
const CACHE = join(ROOT, 'node_modules/.cache')
const TERM_MS = 1500
/** Characters of output kept for the message of a failed process. */
const KEPT = 2000

const live = new Set<ChildProcess>()
let programs: string | undefined

/** Compiles a program of bench/ to JavaScript, so that no measured process runs with a TypeScript loader. */
export function program (name: 'load' | 'node'): string {
  if (programs === undefined) {
    mkdirSync(CACHE, { recursive: true })
    programs = mkdtempSync(join(CACHE, 'oneloop-bench-'))
    const entryPoints = { load: 'bench/load/load.ts', node: 'bench/peers/node.ts' }
    buildSync({ absWorkingDir: ROOT, entryPoints, outdir: programs, outExtension: { '.js': '.mjs' }, bundle: true, packages: 'external', platform: 'node', format: 'esm' })
  }
  return join(programs, `${name}.mjs`)
}

export function start (words: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [file = '', ...args] = words
  const child = spawn(file, args, { cwd: ROOT, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  live.add(child)
  let output = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => { output += text })
  child.stderr.setEncoding('utf8').on('data', (text: string) => { errors = (errors + text).slice(-KEPT) })
  /** Resolves to undefined, or to the reason of a failure. */
  const ended = new Promise<string | undefined>((resolve) => {
    child.on('error', ({ message }) => resolve(message))
    child.on('close', (code, signal) => resolve(code === 0 ? undefined : errors.trim() || output.trim().slice(-KEPT) || `it ended with ${code ?? signal}`))
  }).finally(() => live.delete(child))
  return {
    pid: child.pid ?? 0,
    ended,
    output: () => output,
    isAlive: () => live.has(child),
    async stop (): Promise<void> {
      child.kill('SIGTERM')
      await Promise.race([ended, delay(TERM_MS, undefined, { ref: false })])
      child.kill('SIGKILL')
      await ended
    }
  }
}

export function cleanUpAtTheEnd (): void {
  for (const [name, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) process.on(name, () => process.exit(code))
  process.on('exit', () => {
    for (const child of live) child.kill('SIGKILL')
    if (programs !== undefined) rmSync(programs, { recursive: true, force: true })
  })
}
