/** Samples the delay and utilisation of its own event loop, ten times a second. */
import { createHistogram, performance } from 'node:perf_hooks'
import type { LoopSample } from '../shared/messages.ts'

const SAMPLE_MS = 100
/** Interval of the timer whose lateness is the delay. */
const RESOLUTION_MS = 10
const NS = 1e6

/** Returns the function that stops it. */
export function startSampler (onSample: (sample: LoopSample) => void): () => void {
  // Not monitorEventLoopDelay: its reset() forgets when its timer last fired, and so misses a stall that begins just then.
  const delays = createHistogram()
  let firedAt = performance.now()
  const beat = setInterval(() => {
    const now = performance.now()
    delays.record(Math.max(1, Math.round((now - firedAt - RESOLUTION_MS) * NS)))
    firedAt = now
  }, RESOLUTION_MS)

  let before = performance.eventLoopUtilization()
  const sample = () => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    const ms = (ns: number) => Number((ns / NS).toFixed(2))
    const measured = { p50: ms(delays.percentile(50)), max: ms(delays.max) }
    const isEmpty = delays.count === 0
    delays.reset()
    onSample({ at: Date.now(), ...(isEmpty ? { p50: 0, max: 0 } : measured), utilisation: Number(utilization.toFixed(4)) })
  }
  // setImmediate runs after the beat's timer: after a stall both timers are due at once.
  let immediate: NodeJS.Immediate | undefined
  const timer = setInterval(() => { immediate = setImmediate(sample) }, SAMPLE_MS)
  return () => {
    clearInterval(beat)
    clearInterval(timer)
    clearImmediate(immediate)
  }
}
