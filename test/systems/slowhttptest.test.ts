/** The attacks of slowhttptest: slow headers, slow bodies, slow readers and ranges. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import t from 'tap'
import { askMeanwhile } from '../clients.ts'
import { serverFor, until, without } from '../support.ts'

t.test('each of them is ended by its limit, and every service answers meanwhile', { skip: without('slowhttptest') }, async (t) => {
  const { app, target, endpoint, log } = await serverFor(t, {
    PROFILE: 'bench', HTTP_HEADERS_MS: '1000', HTTP_REQUEST_MS: '1500', HTTP_IDLE_MS: '1500', HTTP_KEEP_ALIVE_MS: '1000'
  })
  const CONNECTIONS = 100
  const SECONDS = 8
  const modes: Record<string, string[]> = {
    'slow headers': ['-H', '-i', '1'],
    'slow bodies': ['-B', '-i', '1', '-s', '8192'],
    'slow reading': ['-X', '-w', '1', '-y', '64', '-n', '1', '-z', '8', '-k', '3'],
    ranges: ['-R', '-t', 'GET']
  }
  const url = `http://127.0.0.1:${target('http').port}/`
  const running = new Set(Object.keys(modes))
  const outputs: Record<string, string> = {}
  const over = Promise.all(Object.entries(modes).map(async ([mode, args]) => {
    const child = spawn('slowhttptest', [...args, '-c', `${CONNECTIONS}`, '-r', '200', '-l', `${SECONDS}`, '-p', '3', '-v', '1', '-u', url])
    t.teardown(() => { child.kill('SIGKILL') })
    outputs[mode] = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { outputs[mode] += text })
    const [code] = await once(child, 'close')
    running.delete(mode)
    t.equal(code, 0, mode)
  }))

  const http = endpoint('http')
  const ended = (async () => {
    const endedBy = (limit: RegExp) => log.filter(({ msg, service, reason }) => msg === 'connection closed' && service === 'http' && limit.test(String(reason))).length
    await until(() => endedBy(/HTTP_HEADERS_MS/) >= 10, 'slow headers are ended')
    await until(() => endedBy(/HTTP_(IDLE|KEEP_ALIVE)_MS/) >= 10, 'slow readers are ended')
    await until(() => http.open === 0, 'all of them are ended')
    // The kernels still transfer the rest, but the server has finished with the client.
    t.ok(running.has('slow reading'), 'and not by themselves')
  })()
  const { rounds, wrong } = await askMeanwhile(app.endpoints, Promise.all([over, ended]))
  t.same(wrong, [], `every service answered in each of ${rounds} rounds`)
  for (const mode of ['slow headers', 'slow bodies', 'ranges']) t.match(outputs[mode], 'No open connections left', mode)
  for (const [mode, output] of Object.entries(outputs)) t.notMatch(output, /service available: +NO/, mode)
  t.notOk(log.some(({ level }) => level >= 50), 'nothing is logged as an error')
})
