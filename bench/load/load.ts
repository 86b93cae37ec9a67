/**
 * The load generator, a separate process. Its argument is a JSON array of jobs, which it runs at the same time. It prints the
 * results as one line of JSON.
 */
import { setPriority } from 'node:os'
import { runChurn } from './churn.ts'
import { runHold } from './hold.ts'
import { runHttp, runHttpLight } from './http.ts'
import type { Job } from './job.ts'
import { Meter } from './meter.ts'
import { runStream } from './stream.ts'
import { runUdp } from './udp.ts'

function runOf ({ protocol, kind, pauseMs }: Job) {
  if (kind) return kind === 'churn' ? runChurn : runHold
  if (protocol === 'http') return pauseMs ? runHttpLight : runHttp
  return protocol === 'udp' ? runUdp : runStream
}

const jobs = JSON.parse(process.argv[2] ?? '') as Job[]
// A flood has low priority: the light clients share its CPU and must not wait for it.
if (jobs.some(({ isFlood }) => isFlood)) setPriority(19)
const results = await Promise.all(jobs.map((job) => runOf(job)(new Meter(job))))
process.stdout.write(`${JSON.stringify(results)}\n`, () => process.exit())
