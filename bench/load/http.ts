/** HTTP loads: autocannon, and light clients that each keep one connection alive. */
import { once } from 'node:events'
import { Agent, get, type IncomingMessage } from 'node:http'
import autocannon from 'autocannon'
import type { Result } from './job.ts'
import type { Meter } from './meter.ts'

const ANSWER_MS = 3000

/** The body of every answer, if two answers have the same one. */
export async function fixedBody ({ job: { url } }: Meter): Promise<string | undefined> {
  const ask = async () => await (await fetch(url, { signal: AbortSignal.timeout(ANSWER_MS) })).text()
  const [body, second] = await Promise.all([ask(), ask()]).catch(() => [])
  return body === second ? body : undefined
}

/** Takes latencies from each response: autocannon's result has only whole milliseconds. */
export async function runHttp (meter: Meter): Promise<Result> {
  const { url, connections, depth = 1, warmup, seconds, isFlood } = meter.job
  const expectBody = isFlood ? undefined : await fixedBody(meter)
  // Longer than needed: it ends with the process.
  const load = autocannon({ url, connections, pipelining: depth, duration: warmup + seconds + 10, ...(expectBody && { expectBody }) }, () => {})
  load.on('response', (_client, status, _bytes, ms) => {
    if (status >= 200 && status < 300) meter.count(performance.now() - ms)
    else meter.fail(`status ${status}`)
  })
  load.on('reqError', (error: Error) => meter.fail(error.message))
  // autocannon's types lack this event.
  ;(load as NodeJS.EventEmitter).on('reqMismatch', () => meter.fail('another body than before'))
  return await meter.measure()
}

/** Light clients pause and choose their address, which autocannon's cannot. */
export async function runHttpLight (meter: Meter): Promise<Result> {
  for (let i = 0; i < meter.job.connections; i++) {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    meter.repeat(async () => {
      const [answer] = await once(get({ agent, path: meter.to.path, ...meter.route(i) }), 'response') as [IncomingMessage]
      await once(answer.resume(), 'end')
      if (answer.statusCode !== 200) throw new Error(`status ${answer.statusCode}`)
    })
  }
  return await meter.measure()
}
