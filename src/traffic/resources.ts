/** Reads the process's use of file descriptors and memory. */
import { closeSync, openSync, readdirSync } from 'node:fs'

/** The soft limit (RLIMIT_NOFILE, which Node.js raises to the hard limit at its start); Infinity if there is none. */
export function descriptorLimit (): number {
  // Otherwise the report looks up the names of all connected addresses, which takes seconds if no name server answers.
  Object.assign(process.report, { excludeNetwork: true })
  const report = process.report.getReport() as { userLimits?: { open_files?: { soft: number | 'unlimited' } } }
  const soft = report.userLimits?.open_files?.soft
  return typeof soft === 'number' ? soft : Infinity
}

/** Number of open descriptors; undefined if the system does not report it. */
export function openDescriptors (): number | undefined {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return undefined
  }
}

/** Whether one more descriptor can be opened. Node.js does not report connections that it closes for lack of one. */
export function canOpenOneMore (): boolean {
  try {
    closeSync(openSync('/dev/null', 'r'))
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    return code !== 'EMFILE' && code !== 'ENFILE'
  }
}

/** Resident memory in bytes; undefined if no file descriptor is left to read it. */
export function residentMemory (): number | undefined {
  try {
    return process.memoryUsage.rss()
  } catch {
    return undefined
  }
}
