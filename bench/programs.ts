/** Programs that a machine may have or not, and the two in C, which are compiled on demand. */
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const ROOT = new URL('../', import.meta.url)
const CACHE = new URL('node_modules/.cache/oneloop-bench/', ROOT)
const COMPILE_MS = 60_000
const ASK_MS = 10_000

/** What a program prints, on either stream; undefined where it is not there or fails. */
export function output (program: string, ...args: string[]): string | undefined {
  try {
    // nginx and python print their version on standard error.
    return execFileSync('sh', ['-c', 'exec "$@" 2>&1', 'sh', program, ...args], { encoding: 'utf8', timeout: ASK_MS, stdio: ['ignore', 'pipe', 'ignore'] }).trim()
  } catch {
    return undefined
  }
}

export const found = (program: string): boolean => output('sh', '-c', 'command -v "$1"', 'sh', program) !== undefined

/** The compiled program for a source in bench/; compiled anew only where the source has changed. Throws what gcc says. */
export function compiled (source: string): string {
  const file = new URL(source, import.meta.url)
  const hash = createHash('sha256').update(readFileSync(file)).digest('hex').slice(0, 16)
  const program = fileURLToPath(new URL(`${source.replaceAll(/\W/g, '-')}-${hash}`, CACHE))
  if (existsSync(program)) return program
  mkdirSync(CACHE, { recursive: true })
  const unfinished = `${program}.${process.pid}`
  execFileSync('gcc', ['-O2', '-o', unfinished, fileURLToPath(file)], { timeout: COMPILE_MS, stdio: ['ignore', 'ignore', 'pipe'] })
  renameSync(unfinished, program)
  return program
}
