/** Starts a load generator, in C where there is gcc, and reads what it prints. */
import { fileURLToPath } from 'node:url'
import { setTimeout as delay } from 'node:timers/promises'
import { start } from './children.ts'
import type { LoadResult } from './load/result.ts'
import { compiled, found } from './programs.ts'
import type { Load } from './scenarios.ts'
import type { Endpoint } from './targets.ts'

export type GeneratorName = 'c' | 'node'

/** A hold opens for 60 s at most, and measures twice. */
const LONGEST_MS = 100_000

export const bestGenerator = (): GeneratorName => process.platform === 'linux' && found('gcc') ? 'c' : 'node'

export const generatorWords = (name: GeneratorName): string[] => name === 'c'
  ? [compiled('load.c')]
  : [process.execPath, '--import', import.meta.resolve('tsx'), fileURLToPath(new URL('load/load.ts', import.meta.url))]

export interface Window {
  readonly seconds: number
  readonly warmup: number
  /** Time for the connections to open. */
  readonly opening?: number
}

/** The command line for a load; `pid` is the server's. */
export function loadWords (load: Load, { host, port, path }: Endpoint, { seconds, warmup, opening }: Window, pid: number): string[] {
  const isLocal = host.startsWith('127.')
  const numbers = { port, seconds, warmup, opening, pid, connections: load.connections, size: load.size, depth: load.depth, sources: isLocal && process.platform === 'linux' ? load.sources : undefined }
  return [
    load.mode,
    '--host', host,
    '--path', path,
    ...Object.entries(numbers).flatMap(([name, value]) => value === undefined ? [] : [`--${name}`, String(value)]),
    ...(load.isText ? ['--text'] : []),
    ...(load.isVarying ? ['--varying'] : []),
    ...(isLocal ? [] : ['--remote'])
  ]
}

/** Runs one generator to its end. Throws where it told nothing. */
export async function generate (words: readonly string[]): Promise<LoadResult> {
  const child = start(words)
  const code = await Promise.race([child.exited, delay(LONGEST_MS, 'late' as const, { ref: false })])
  if (code === 'late') await child.stop()
  if (code !== 0) throw new Error(`the load generator ${code === 'late' ? 'did not end' : `ended with ${code}`}: ${child.stderr().trim() || 'without a word'}`)
  return JSON.parse(child.stdout()) as LoadResult
}
