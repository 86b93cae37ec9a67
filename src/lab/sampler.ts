/** Samples the loop that it runs on: event-loop delay and utilisation, ten times a second while it is started. */
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { LoopSample } from '../messages.ts'

const SAMPLE_MS = 100
/** How often a timer fires whose lateness is the delay. The histogram counts from one firing to the next. */
const RESOLUTION_MS = 10
const NS = 1e6

/** Returns the function that stops it. */
export function startSampler (onSample: (sample: LoopSample) => void): () => void {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  histogram.enable()
  let before = performance.eventLoopUtilization()
  const late = (ns: number) => Math.max(0, Number((ns / NS - RESOLUTION_MS).toFixed(2)))

  const sample = () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    const { max } = histogram
    const p50 = histogram.percentile(50)
    histogram.reset()
    onSample({ at: Date.now(), p50: late(p50), max: late(max), utilisation: Number(utilization.toFixed(4)) })
  }
  // After the timers of this turn, the histogram's among them: after a stall all are due at once, in no certain order.
  const timer = setInterval(() => setImmediate(sample), SAMPLE_MS)
  let isStopped = false
  return () => {
    if (isStopped) return
    isStopped = true
    clearInterval(timer)
    histogram.disable()
  }
}
