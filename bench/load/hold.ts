/** One active connection alone, then the same with many idle ones beside it. */
import { setTimeout as delay } from 'node:timers/promises'
import { processCost } from '../process-cost.ts'
import type { Meter } from './meter.ts'
import { protocolFor } from './protocols.ts'
import type { LoadResult } from './result.ts'
import { StreamClient } from './stream.ts'

/** Under way at once, for a listener's backlog. */
const OPENING = 128
const OPEN_MS = 60_000
const SETTLE_MS = 1000

export async function runHold (meter: Meter): Promise<LoadResult> {
  const { connections: asked, pid } = meter.options
  const protocol = protocolFor(meter.options)
  const active = new StreamClient(meter, protocol, 0)
  await active.settled
  await meter.measure()
  const alone50 = meter.histogram.percentile(0.5)
  const alone99 = meter.histogram.percentile(0.99)

  // Quiet while the others come: what they cost is theirs.
  meter.isDraining = true
  const before = processCost(pid)
  const started = performance.now()
  const idle: StreamClient[] = []
  async function openMore (): Promise<void> {
    while (idle.length < asked && performance.now() - started < OPEN_MS) {
      const client = new StreamClient(meter, protocol, idle.length, true)
      idle.push(client)
      await client.settled
    }
  }
  await Promise.race([Promise.all(Array.from({ length: OPENING }, openMore)), delay(OPEN_MS, undefined, { ref: false })])
  const openSeconds = (performance.now() - started) / 1000
  const openCpu = processCost(pid)
  const opened = idle.filter((client) => client.isOpen).length
  await delay(SETTLE_MS)
  const settled = processCost(pid)

  meter.isDraining = false
  if (active.isOpen) active.send(1)
  await meter.measure()
  const alive = idle.filter((client) => client.isOpen).length
  for (const client of [active, ...idle]) client.close()
  return meter.result({
    asked,
    opened,
    alive,
    openSeconds,
    alone50,
    alone99,
    openCpuUs: before && openCpu && opened > 0 ? (openCpu.cpuUs - before.cpuUs) / opened : null,
    bytesEach: before && settled && opened > 0 ? (settled.residentKb - before.residentKb) * 1024 / opened : null
  })
}
