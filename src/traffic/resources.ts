/** What the process may run short of: file descriptors and memory. */
import { closeSync, openSync, readdirSync } from 'node:fs'

/** The soft limit (RLIMIT_NOFILE, which Node.js raises to the hard one at its start); Infinity where there is none. */
export function descriptorLimit (): number {
  // Else it looks up a name for each end of each open connection, which takes seconds where no server for names answers.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const soft = report.userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}

/** How many are open; undefined where the system does not tell. */
export function openDescriptors (): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** Whether one more can be opened. Node.js does not report connections that it closes for want of one. */
export function canOpenOneMore (): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'EMFILE' && code !== 'ENFILE'
  }
}

/** Resident memory in bytes; undefined where no file descriptor is left to read it with. */
export function residentMemory (): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}
