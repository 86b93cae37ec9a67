/** Idle connections: measures what each costs the server to open and to keep. An operation is an opened connection. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Result } from './job.ts'
import { costOf, difference, type Meter } from './meter.ts'
import { dialogueOf, openStream } from './stream.ts'

/** Connections opened at once: a listener's backlog is limited. */
const BATCH = 100
const OPEN_MS = 30_000
const SETTLE_MS = 1000
/** Connections opened first, because code that runs for the first time takes memory of its own. */
const REHEARSAL = 500

async function openIdle (meter: Meter, count: number) {
  const dialogue = dialogueOf(meter)
  const clients: ReturnType<typeof openStream>[] = []
  for (const until = performance.now() + OPEN_MS; clients.length < count && performance.now() < until;) {
    const batch = Array.from({ length: Math.min(BATCH, count - clients.length) }, (_, i) => openStream(meter, dialogue, clients.length + i, true))
    clients.push(...batch)
    await Promise.race([Promise.all(batch.map(({ settled }) => settled)), delay(OPEN_MS)])
  }
  return clients
}

export async function runHold (meter: Meter): Promise<Result> {
  const { connections, pid } = meter.job
  for (const client of await openIdle(meter, Math.min(REHEARSAL, connections))) client.close()
  await delay(SETTLE_MS)
  const before = costOf(pid)
  const clients = await openIdle(meter, connections)
  const opened = costOf(pid)
  await delay(SETTLE_MS)
  const bytes = difference(costOf(pid).resident, before.resident)
  const alive = clients.filter((client) => client.isOpen()).length
  if (alive < connections) meter.fail(`only ${alive} of ${connections} stayed open`)
  return { ...meter.result(before, opened, alive), bytesEach: bytes === null || alive === 0 ? null : bytes / alive }
}
