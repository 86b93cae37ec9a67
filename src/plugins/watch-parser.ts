/** Watching Node.js's HTTP parser, where this Node.js can. */
import { createServer } from 'node:http'
import fastifyPlugin from 'fastify-plugin'
import { NOTHING, watchParser, type WatchParser } from './http-parser.ts'
import { isReadToEnd, type ReadInto } from './read-into.ts'

declare module 'fastify' {
  interface FastifyInstance { watchParser: WatchParser }
}

const head = (line: string, ...headers: readonly string[]): string => [`${line} HTTP/1.1`, 'Host: oneloop', ...headers, '', ''].join('\r\n')

/** What a client says, what becomes of its first head and of all others, and what is seen then, bodies last. */
const TRIALS = [
  { text: `${head('GET /one')}${head('POST /two', 'Content-Length: 3')}two${head('GET /three')}`, first: 'serve', others: 'stop', expected: '/one,stopped,/two,/three,two' },
  { text: `${head('GET /one', 'Connection: Upgrade', 'Upgrade: another')}more`, first: 'wait', others: 'wait', expected: 'stopped,upgrade,' },
  { text: `${head('GET /one')}neither\r\n\r\n`, first: 'serve', others: 'serve', expected: '/one,broken,HPE,' }
] as const

/** Whether a parser stops where it should, and goes on from there as if nothing had been: behind a body, at an upgrade, and at what is no request. */
async function works (watch: WatchParser, readHttpInto: ReadInto, host: string): Promise<boolean> {
  for (const trial of TRIALS) if (!await passes(trial, watch, readHttpInto, host)) return false
  return true
}

async function passes ({ text, first, others, expected }: typeof TRIALS[number], watch: WatchParser, readHttpInto: ReadInto, host: string): Promise<boolean> {
  const memory = Buffer.alloc(1)
  const seen: string[] = []
  let heads = 0
  let body = ''
  const server = createServer((request, response) => {
    seen.push(String(request.url))
    request.on('data', (piece) => { body += String(piece) })
    response.end()
  }).on('upgrade', (_request, socket) => {
    seen.push('upgrade')
    socket.resume()
  }).on('clientError', (error: NodeJS.ErrnoException) => seen.push(String(error.code).slice(0, 3)))
  const isRead = await isReadToEnd(server, host, text, (socket) => {
    const readOn = (act: () => void) => {
      readHttpInto(socket, { nextBuffer: () => memory, onRead: () => true })
      queueMicrotask(act)
    }
    const watching = watch(socket, {
      onHead: () => heads++ === 0 ? first : others,
      onParsed: (bytes) => seen.push(String(bytes)),
      onBroken () {
        seen.push('broken')
        readOn(() => socket.emit('data', NOTHING))
      },
      onStopped (bytes, rest) {
        seen.push(text.slice(bytes) === String(rest) ? 'stopped' : 'elsewhere')
        readOn(() => {
          watching?.serveNext()
          if (!seen.includes('upgrade')) socket.emit('data', rest)
        })
      }
    })
    return watching !== undefined
  })
  return isRead && [...seen, body].join() === expected
}

export const parsing = fastifyPlugin(async function parsing (app) {
  const isAble = await works(watchParser, app.readHttpInto, app.config.host)
  if (!isAble) app.log.warn('this Node.js has no way to stop its HTTP parser between two requests: each costs more')
  app.decorate('watchParser', isAble ? watchParser : () => undefined)
})
