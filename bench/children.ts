/** The processes that the bench starts; it ends these, by their own ids, and no others. */
import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const TERM_MS = 1500
const KILL_MS = 2000

const live = new Set<ChildProcess>()
let scratch: string | undefined
let files = 0

/** A directory for this run's logs and for nginx, removed at its end. */
export function scratchDirectory (): string {
  scratch ??= mkdtempSync(join(tmpdir(), 'oneloop-bench-'))
  return scratch
}

// A loader of the bench's own would make the servers' memory larger.
const { NODE_OPTIONS: _own, ...rest } = process.env

export interface Child {
  readonly process: ChildProcess
  readonly pid: number
  readonly exited: Promise<number | null>
  /** What it has printed so far; read from files, which need no reader that takes CPU time. */
  stdout (): string
  stderr (): string
  stop (): Promise<void>
}

/** Starts a process in a group of its own. */
export function start (words: readonly string[], { env = {}, cwd = ROOT }: { env?: NodeJS.ProcessEnv, cwd?: string } = {}): Child {
  const [program = '', ...args] = words
  const names = ['stdout', 'stderr'].map((name) => join(scratchDirectory(), `${++files}.${name}`)) as [string, string]
  const streams = names.map((name) => openSync(name, 'w'))
  const child = spawn(program, args, { cwd, env: { ...rest, ...env }, detached: true, stdio: ['ignore', ...streams] })
  for (const stream of streams) closeSync(stream)
  live.add(child)
  const exited = new Promise<number | null>((resolve) => {
    const end = (code: number | null) => {
      live.delete(child)
      resolve(code)
    }
    child.on('exit', end).on('error', () => end(null))
  })
  return {
    process: child,
    pid: child.pid ?? 0,
    exited,
    stdout: () => readFileSync(names[0], 'utf8'),
    stderr: () => readFileSync(names[1], 'utf8'),
    async stop () {
      signal(child, 'SIGTERM')
      if (await Promise.race([exited.then(() => true), later(TERM_MS)])) return
      signal(child, 'SIGKILL')
      await Promise.race([exited, later(KILL_MS)])
    }
  }
}

const later = (ms: number) => new Promise<false>((resolve) => { setTimeout(() => resolve(false), ms).unref() })

/** To the child and what it may have started itself. */
function signal (child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, name)
  } catch {
    // It has ended in the meantime.
  }
}

/** Ends everything that still runs, at once. */
export function cleanUp (): void {
  for (const child of live) signal(child, 'SIGKILL')
  if (scratch !== undefined) rmSync(scratch, { recursive: true, force: true })
  scratch = undefined
}

export function cleanUpOnSignals (): void {
  for (const [name, code] of [['SIGINT', 130], ['SIGTERM', 143], ['SIGHUP', 129]] as const) {
    process.on(name, () => {
      cleanUp()
      process.exit(code)
    })
  }
  process.on('exit', cleanUp)
}
