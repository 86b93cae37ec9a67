#!/usr/bin/env node
/** The entry point of the command line. It alone reads process.argv; it loads the rest, and says so if that fails. */

// Installed before anything is loaded, so that an early signal ends the process with 0. A container's first process ignores
// signals that have no handler.
const end = () => process.exit(0)
process.once('SIGTERM', end).once('SIGINT', end)

try {
  const { run } = await import('./commands/index.ts')
  await run(process.argv, () => { process.off('SIGTERM', end).off('SIGINT', end) })
} catch (error) {
  // Node.js opens many module files at once.
  if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error
  console.error('oneloop: too few file descriptors to load the program: allow at least 256 with ulimit -n')
  process.exitCode = 1
}
