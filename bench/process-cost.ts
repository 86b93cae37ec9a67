/** What a process has cost so far, as /proc tells it. */
import { readFileSync } from 'node:fs'

/** USER_HZ, which Linux tells every program whatever its own clock is. */
const TICKS_PER_SECOND = 100
const PAGE_KB = 4

export interface ProcessCost {
  /** User and system time of all its threads. */
  readonly cpuUs: number
  readonly residentKb: number
}

/** Undefined where there is no such process, or no /proc. */
export function processCost (pid: number): ProcessCost | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
    // The name before the bracket may have spaces in it.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return {
      cpuUs: (Number(fields[11]) + Number(fields[12])) * 1e6 / TICKS_PER_SECOND,
      residentKb: Number(fields[21]) * PAGE_KB
    }
  } catch {
    return undefined
  }
}
