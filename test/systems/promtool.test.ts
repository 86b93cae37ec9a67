/** Prometheus's own checker reads `/metrics`. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { happenings } from '../happenings.ts'
import { serverFor, without } from '../support.ts'

t.test('promtool finds nothing to say about it', { skip: without('promtool') }, async (t) => {
  const server = await serverFor(t)
  await happenings(server)
  const response = await fetch(`http://127.0.0.1:${server.target('http').port}/metrics`)
  t.match(response.headers.get('content-type'), 'text/plain; version=0.0.4')
  const promtool = spawn('promtool', ['check', 'metrics'])
  let said = ''
  for (const stream of [promtool.stdout, promtool.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { said += text })
  promtool.stdin.end(await response.text())
  const [code] = await once(promtool, 'close')
  t.equal(said, '')
  t.equal(code, 0)
})
