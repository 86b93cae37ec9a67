/** Connections that each are one operation: connect, ask, read the answer, close. */
import { connect, type Socket } from 'node:net'
import { checkAnswer, request, type AnswerMemory } from './http.ts'
import { ReplyError, type Meter } from './meter.ts'
import { payloadOf } from './protocols.ts'
import type { LoadResult } from './result.ts'
import { sourceOf } from './stream.ts'

export async function runChurn (meter: Meter): Promise<LoadResult> {
  const { mode, host, port, size, connections, sources, isVarying } = meter.options
  const payload = payloadOf(size)
  const memory: AnswerMemory = { isVarying }
  const asked = mode === 'time-churn' ? undefined : mode === 'echo-churn' ? payload : Buffer.from(request(meter.options, true))
  const open = new Set<Socket>()
  let turn = 0
  let isOver = false

  function isRight (answer: Buffer): boolean {
    if (mode === 'time-churn') return answer.length > 20 && answer.subarray(-2).equals(Buffer.from('\r\n'))
    if (mode === 'echo-churn') return answer.equals(payload)
    return checkAnswer(answer, memory) === answer.length
  }

  function check (answer: Buffer, started: number): void {
    try {
      if (answer.length === 0) meter.fail('closed', 'closed without an answer')
      else if (!isRight(answer)) meter.fail('wrong', 'a wrong answer')
      else meter.count(answer.length, (performance.now() - started) * 1000)
    } catch (error) {
      if (!(error instanceof ReplyError)) throw error
      meter.fail(error.kind, error.message)
    }
  }

  function next (): void {
    if (isOver) return
    const started = performance.now()
    const socket = connect({ host, port, noDelay: true, ...sourceOf(turn++, sources) })
    let answer: Buffer = Buffer.alloc(0)
    let isDone = false
    const done = () => {
      if (isDone) return
      isDone = true
      if (!isOver) check(answer, started)
      socket.destroy()
    }
    open.add(socket)
    if (asked) socket.on('connect', () => socket.write(asked))
    socket.on('data', (chunk) => {
      answer = answer.length > 0 ? Buffer.concat([answer, chunk]) : chunk
      if (mode === 'echo-churn' && answer.length >= size) done()
    })
    socket.on('end', done)
    socket.on('error', (error) => {
      if (!isDone && !isOver) meter.fail(socket.connecting ? 'connect' : 'closed', error.message)
      isDone = true
    })
    socket.on('close', () => {
      open.delete(socket)
      next()
    })
  }

  for (let i = 0; i < connections; i++) next()
  await meter.measure()
  isOver = true
  for (const socket of open) socket.destroy()
  return meter.result()
}
