#!/usr/bin/env node
/** The command line's first file: the only reader of the process's arguments. It loads the rest, and says so if that cannot be loaded. */

// Before anything is loaded: a signal that comes now ends it well, also as the first process of a container, where the system
// ignores signals without a handler.
const end = () => process.exit(0)
process.once('SIGTERM', end).once('SIGINT', end)

try {
  const { run } = await import('./commands/index.ts')
  await run(process.argv, () => { process.off('SIGTERM', end).off('SIGINT', end) })
} catch (error) {
  // Node.js opens the modules' files all at once.
  if ((error as NodeJS.ErrnoException).code !== 'EMFILE') throw error
  console.error('oneloop: too few file descriptors to load the program: allow at least 256 with ulimit -n')
  process.exitCode = 1
}
