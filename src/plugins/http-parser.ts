/**
 * Node.js's HTTP parser, stopped behind a head that it has read for itself: handed what it parses, a request costs a quarter to a third
 * more. How it works inside is not documented: watch-parser.ts finds out at the start whether this one does.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'

/** What the parser knows of a request, and Node.js's types do not. */
type Incoming = IncomingMessage & { readonly upgrade: boolean }

export interface HeadTaker {
  /** A request's head has come. What becomes of it? */
  onHead (): Verdict
  /** A read is over, and so much of it was parsed: all, or as far as an upgrade. */
  onParsed (bytes: number): void
  /** The parser has stopped behind a head, and takes the rest of what was read, and all that follows, from 'data' events. */
  onStopped (bytes: number, rest: Buffer): void
  /** What follows is no request. It says so with the next 'data' event, whatever that brings. */
  onBroken (bytes: number): void
}

/**
 * - `serve`: it is served now. The parser stops if it has a body.
 * - `wait`: it is served with the next call of `serveNext`. The parser stops if it has a body or is an upgrade.
 * - `stop`: as `wait`, and the parser stops.
 */
export type Verdict = 'serve' | 'wait' | 'stop'

/**
 * Has the taker decide on what the parser of an HTTP server's socket reads for itself. Undefined where this Node.js cannot: then nothing
 * has changed.
 */
export type WatchParser = (socket: Socket, taker: HeadTaker) => ParserWatch | undefined

export const watchParser: WatchParser = (socket, taker) => {
  const { parser } = socket as Socket & { parser?: Inside | null }
  const index = parser?.constructor.kOnExecute
  if (!parser?._consumed || index === undefined) return
  const { onIncoming: serve, [index]: onRead } = parser
  if (!serve || !onRead) return
  // Node.js takes both off it before it is another client's.
  parser.onIncoming = onIncoming
  parser[index] = onExecute
  const watch = new ParserWatch(socket, parser, taker, serve, onRead)
  parser.socket[WATCH] = watch
  return watch
}

/** A socket knows its parser's watch, so that all parsers have the same functions. */
const WATCH = Symbol('watch')
type WatchedSocket = Socket & { [WATCH]?: ParserWatch | undefined }
function onIncoming (this: Inside, request: Incoming, keepsAlive: boolean): number { return this.socket[WATCH]?.onIncoming(request, keepsAlive) ?? 0 }
function onExecute (this: Inside, result: number | ParserError): void { this.socket[WATCH]?.onExecute(result) }

/** What its callback for a head may return by llhttp's API: HPE_PAUSED, after which it goes on from there when it is resumed. */
const PAUSED = 21
/** No bytes, but somewhere: with a null pointer Node.js would tell the parser that the client has ended. */
export const NOTHING = Buffer.alloc(1).subarray(0, 0)

type OnIncoming = (request: Incoming, keepsAlive: boolean) => number
type OnExecute = (result: number | ParserError) => void
interface ParserError extends Error { bytesParsed: number }

interface Inside extends Record<number, OnExecute | undefined> {
  constructor: { kOnExecute?: number }
  /** Whether it reads for itself. */
  _consumed: boolean
  /** Makes an answer for a request and tells the server of both. Returns 0, or 2 for an upgrade. */
  onIncoming: OnIncoming | null
  socket: WatchedSocket
  resume (): void
  execute (bytes: Buffer): number | Error
  /** A copy of the read at hand. */
  getCurrentBuffer (): Buffer
}

/** Watches the parser of one client. Requests that wait are in the order in which they came. */
export class ParserWatch {
  readonly #socket: WatchedSocket
  readonly #parser: Inside
  readonly #taker: HeadTaker
  /** What Node.js would do with a request's head, and after a read. */
  readonly #serve: OnIncoming
  readonly #onRead: OnExecute
  #waiting: (readonly [request: Incoming, keepsAlive: boolean])[] | undefined
  #isStopping = false

  constructor (socket: Socket, parser: Inside, taker: HeadTaker, serve: OnIncoming, onRead: OnExecute) {
    this.#socket = socket
    this.#parser = parser
    this.#taker = taker
    this.#serve = serve
    this.#onRead = onRead
  }

  /** To be called when the socket is no longer HTTP's: it may live for long, and would keep all of this. */
  end (): void {
    this.#socket[WATCH] = undefined
  }

  /** Serves the request that has waited longest. */
  serveNext (): void {
    const next = this.#waiting?.shift()
    if (!next) return
    this.#serve(...next)
    // Node.js looks for an upgrade when something has been parsed.
    if (next[0].upgrade) this.#socket.emit('data', NOTHING)
  }

  /** A head was parsed. */
  onIncoming (request: Incoming, keepsAlive: boolean): number {
    // From a 'data' event, since it was stopped.
    if (!this.#parser._consumed) return this.#serve(request, keepsAlive)
    const verdict = this.#taker.onHead()
    if (verdict === 'serve') {
      const answer = this.#serve(request, keepsAlive)
      if (answer !== 0 || !hasBody(request)) return answer
    } else {
      this.#waiting ??= []
      this.#waiting.push([request, keepsAlive])
      if (verdict === 'wait' && !request.upgrade && !hasBody(request)) return 0
    }
    this.#isStopping = true
    return PAUSED
  }

  /** A read is over. */
  onExecute (result: number | ParserError): void {
    if (this.#isStopping) {
      this.#isStopping = false
      // Behind the head of an upgrade Node.js takes nothing for an error.
      const bytes = typeof result === 'number' ? result : result.bytesParsed
      const rest = this.#parser.getCurrentBuffer().subarray(bytes)
      this.#parser.resume()
      // As far as the end of a request without a body: it would else count as one that does not arrive in time.
      this.#parser.execute(NOTHING)
      this.#taker.onStopped(bytes, rest)
    } else if (typeof result === 'number') {
      this.#onRead(result)
      this.#taker.onParsed(result)
    } else {
      this.#taker.onBroken(result.bytesParsed)
    }
  }
}

function hasBody ({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}
