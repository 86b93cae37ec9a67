/**
 * The load generator in Node.js: a process of its own that puts one kind of load on one port, and prints one line of JSON.
 *
 *   load MODE --port P [--host 127.0.0.1] [--path /] [--connections N] [--size BYTES] [--depth N] [--sources N]
 *     [--seconds S] [--warmup S] [--opening S] [--pid PID] [--text] [--varying] [--remote]
 *
 * load.c does the same where there is gcc. Both refuse hosts other than this one without --remote, and always end.
 */
import { runChurn } from './churn.ts'
import { runHold } from './hold.ts'
import { Meter } from './meter.ts'
import { loadOptions } from './options.ts'
import type { LoadResult } from './result.ts'
import { runSink } from './sink.ts'
import { runStream } from './stream.ts'
import { runUdp } from './udp.ts'

/** Longer than any run that is within the bounds of the options. */
const END_MS = 340_000

function run (meter: Meter): Promise<LoadResult> {
  const { mode } = meter.options
  if (mode === 'udp') return runUdp(meter)
  if (mode === 'sink') return runSink(meter)
  if (mode.endsWith('-hold')) return runHold(meter)
  if (mode.endsWith('-churn') || mode === 'http-close') return runChurn(meter)
  return runStream(meter)
}

try {
  const options = loadOptions(process.argv.slice(2))
  setTimeout(() => process.exit(1), END_MS).unref()
  console.log(JSON.stringify(await run(new Meter(options))))
} catch (error) {
  console.error(`load: ${(error as Error).message}`)
  process.exitCode = 2
}
