/** Short connections: each is one operation (connect, ask, read the answer, close). */
import { connect } from 'node:net'
import { fixedBody } from './http.ts'
import type { Result } from './job.ts'
import { payloadOf, type Meter } from './meter.ts'

export async function runChurn (meter: Meter): Promise<Result> {
  const { job: { protocol, size = 64, connections }, to: { path, authority } } = meter
  const payload = payloadOf(size)
  const body = protocol === 'http' ? await fixedBody(meter) ?? '' : ''
  const request = { http: `GET ${path} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`, tcp: payload }[protocol as string]
  let turn = 0

  function isRight (answer: Buffer): boolean {
    if (protocol === 'time') return answer.length > 20 && answer.subarray(-2).equals(Buffer.from('\r\n'))
    return protocol === 'tcp' ? answer.equals(payload) : answer.indexOf('HTTP/1.1 2') === 0 && answer.includes(body)
  }

  async function ask (): Promise<void> {
    let answer: Buffer = Buffer.alloc(0)
    const socket = connect({ noDelay: true, ...meter.route(turn++) })
    await new Promise<void>((resolve, reject) => {
      if (request) socket.on('connect', () => socket.write(request))
      socket.on('data', (chunk) => {
        answer = answer.length > 0 ? Buffer.concat([answer, chunk]) : chunk
        if (protocol === 'tcp' && answer.length >= size) resolve()
      })
      socket.on('end', resolve).on('error', reject)
    }).finally(() => socket.destroy())
    if (!isRight(answer)) throw new Error(answer.length > 0 ? 'a wrong answer' : 'closed without an answer')
  }

  for (let i = 0; i < connections; i++) meter.repeat(ask)
  return await meter.measure()
}
