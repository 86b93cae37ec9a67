/** The HTTP corpus: malformed, oversized and ambiguous requests, byte for byte, and the answer to each. */

export interface Attack {
  readonly name: string
  /** Sent as they are, one byte for each character. Each part waits for the answer to the previous one; FIN does not wait. */
  readonly parts: readonly string[]
  /** The answers before the server closes, in order: the status of an HTTP answer, a WebSocket frame as `close 1002`. */
  readonly answers: readonly string[]
  /** Matches all received bytes, read as one character for each. */
  readonly match?: RegExp
}

/** The client's FIN. */
export const FIN = ''

const HEAD = 'Host: oneloop\r\nConnection: close\r\n'
const KEPT = 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'
/** A slow request: bytes after it are read before it is answered, because the server runs a client for it. */
export const LATER = 'POST /api/lab/run?service=time HTTP/1.1\r\nHost: oneloop\r\n\r\n'
/** A slower request: its client needs an upgrade, which takes more turns of the loop than ten requests. */
const MUCH_LATER = LATER.replace('time', 'ws-time')
const KIB_17 = 17_408
const MIB = 1_048_576

/** A GET that ends its connection. */
const get = (path = '/healthz', headers = ''): string => `GET ${path} HTTP/1.1\r\n${HEAD}${headers}\r\n`
const header = (line: string): string => get('/healthz', `${line}\r\n`)
/** A POST to a route with a body. If the framing is valid, the answer is 404 ERR_NO_SERVICE, even to invalid JSON: nothing parses it. */
const post = (headers: string, body = '', version = '1.1'): string =>
  `POST /api/lab/run?service=none HTTP/${version}\r\n${HEAD}Content-Type: application/json\r\n${headers}\r\n${body}`
const chunked = (body: string): string => post('Transfer-Encoding: chunked\r\n', body)
const json = (body: string): string => post(`Content-Length: ${body.length}\r\n`, body)
const h2c = (path = '/healthz', headers = ''): string => `GET ${path} HTTP/1.1\r\nHost: oneloop\r\nConnection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQ\r\nUpgrade: h2c\r\n${headers}\r\n`
const headers = (count: number): string => Array.from({ length: count }, (_, i) => `X-${i}: y\r\n`).join('')

const FRAMING = /"ERR_HTTP_SYNTAX"/
const BAD_URL = /\r\nContent-Security-Policy: [^]*"ERR_URL"/i
const BAD_HOST = /"ERR_HOST"/
const MANY_HEADERS = /"ERR_HTTP_MAX_HEADERS"/
const NO_SERVICE = /"ERR_NO_SERVICE"/
const NOT_FOUND = /"ERR_NOT_FOUND"/
const HEALTHY = /\r\n\r\n\{"status":"ok"\}$/

/** No status: the server closes without an answer. */
type Row = readonly [name: string, send: string | readonly string[], statuses: number | readonly number[], match?: RegExp]

/** RFC 9112 by section, and the limits that oneloop sets itself. */
const rows: readonly Row[] = [
  // Valid requests, so that a server that refuses everything fails.
  ['a plain GET', get(), 200, HEALTHY],
  ['a JSON body with a length', json('{"a":1}'), 404, NO_SERVICE],
  ['a JSON body in chunks', chunked('3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n'), 404, NO_SERVICE],

  // Section 6: the length of a body; request smuggling exploits differences between parsers.
  ['Content-Length twice, the same', post('Content-Length: 2\r\nContent-Length: 2\r\n', '{}'), 400, FRAMING],
  ['Content-Length twice, different', post('Content-Length: 2\r\nContent-Length: 3\r\n', '{} '), 400, FRAMING],
  ['Content-Length as a list', post('Content-Length: 2, 2\r\n', '{}'), 400, FRAMING],
  ['Content-Length with a plus', post('Content-Length: +2\r\n', '{}'), 400, FRAMING],
  ['Content-Length below zero', post('Content-Length: -2\r\n', '{}'), 400, FRAMING],
  ['Content-Length in hexadecimal', post('Content-Length: 0x2\r\n', '{}'), 400, FRAMING],
  ['Content-Length of 2^64 + 2', post('Content-Length: 18446744073709551618\r\n', '{}'), 400, FRAMING],
  ['Content-Length, then Transfer-Encoding', post('Content-Length: 2\r\nTransfer-Encoding: chunked\r\n', '0\r\n\r\n'), 400, FRAMING],
  ['Transfer-Encoding, then Content-Length', post('Transfer-Encoding: chunked\r\nContent-Length: 2\r\n', '0\r\n\r\n'), 400, FRAMING],
  ['Transfer-Encoding: chunked twice', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n', '2\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['Transfer-Encoding: chunked, then identity', post('Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n', '2\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['Transfer-Encoding: gzip', post('Transfer-Encoding: gzip\r\n', '{}'), 400, FRAMING],
  ['Transfer-Encoding: xchunked', post('Transfer-Encoding: xchunked\r\n', '2\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['a body larger than its Content-Length', post('Content-Length: 2\r\n', '{}GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n'), 404, NO_SERVICE],
  ['garbage behind a kept-alive body', [post('Content-Length: 2\r\n', '{}').replace('Connection: close\r\n', ''), 'garbage'], [404, 400], FRAMING],
  ['a body on a GET', get('/healthz', 'Content-Length: 5\r\n') + 'hello', 200, HEALTHY],
  ['a body above HTTP_MAX_BODY_BYTES, by its length', post(`Content-Length: ${MIB + 1}\r\n`), 413],
  ['a body above HTTP_MAX_BODY_BYTES, in chunks', chunked(`${(MIB + 1).toString(16)}\r\n${' '.repeat(MIB + 1)}`), 413],

  // Section 7.1: chunks.
  ['a chunk size that is none', chunked('zz\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['a chunk size below zero', chunked('-2\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['a chunk size with 0x', chunked('0x2\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['a chunk size of 2^68 - 1', chunked('fffffffffffffffff\r\n{}'), 400, FRAMING],
  ['a chunk size of 2^63 - 1, and more than 1 MiB of it', chunked(`7fffffffffffffff\r\n${' '.repeat(MIB + 1)}`), 413],
  ['a chunk size that ends in a bare LF', chunked('2\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['a chunk longer than its size', chunked('2\r\n{}XX0\r\n\r\n'), 400, FRAMING],
  ['a chunk shorter than its size', chunked('4\r\n{}\r\n0\r\n\r\n'), 400, FRAMING],
  ['one chunk extension of 17 KiB', chunked(`2;${'a'.repeat(KIB_17)}\r\n{}\r\n0\r\n\r\n`), 413, /"ERR_HTTP_CHUNK_EXTENSIONS"/],
  ['chunk extensions of 20 KiB over 20 chunks', chunked(`1;${'a'.repeat(1024)}\r\n \r\n`.repeat(20) + '2\r\n{}\r\n0\r\n\r\n'), 404, NO_SERVICE],
  ['trailers of 17 KiB', chunked(`2\r\n{}\r\n0\r\nX: ${'a'.repeat(KIB_17)}\r\n\r\n`), 431],
  ['10,000 trailers', chunked(`2\r\n{}\r\n0\r\n${headers(10_000)}\r\n`), 431],

  // Sections 2.2 and 5: lines and headers.
  ['bare LF throughout', get().replaceAll('\r\n', '\n'), 400, FRAMING],
  ['bare LF after the request line', get().replace('\r\n', '\n'), 400, FRAMING],
  ['bare LF after a header', get().replace('close\r\n', 'close\n'), 400, FRAMING],
  ['bare LF for the empty line', `GET /healthz HTTP/1.1\r\n${HEAD}\n`, 400, FRAMING],
  ['bare CR in a header\'s value', header('X: a\rb'), 400, FRAMING],
  ['CR before the colon', header('X\r: a'), 400, FRAMING],
  ['a folded header, by a space', header('X: a\r\n b'), 400, FRAMING],
  ['a folded header, by a tab', header('X: a\r\n\tb'), 400, FRAMING],
  ['a first header that begins with a space', 'GET /healthz HTTP/1.1\r\n Host: oneloop\r\n\r\n', 400, FRAMING],
  ['a space before the colon', header('X : a'), 400, FRAMING],
  ['a space in a header\'s name', header('X Y: a'), 400, FRAMING],
  ['a header without a colon', header('Nonsense'), 400, FRAMING],
  ['a header without a name', header(': a'), 400, FRAMING],
  ['NUL in the request line', get('/heal\0thz'), 400, FRAMING],
  ['NUL in a header\'s name', header('X\0Y: a'), 400, FRAMING],
  ['NUL in a header\'s value', header('X: a\0b'), 400, FRAMING],
  ['a control character in a header\'s value', header('X: a\x01b'), 400, FRAMING],
  ['bytes above 127 in a header\'s value', header('X: \xff\xfe'), 200, HEALTHY],
  ['__proto__, constructor and toString as headers', header('__proto__: a\r\nconstructor: b\r\ntoString: c'), 200, HEALTHY],
  ['as many headers as HTTP_MAX_HEADERS', get('/healthz', headers(98)), 200, HEALTHY],
  ['one header more', get('/healthz', headers(99)), 431, MANY_HEADERS],
  ['2,500 headers of two bytes', get('/healthz', 'a:\r\n'.repeat(2500)), 431],
  ['2,500 headers', get('/healthz', headers(2500)), 431],
  ['a header\'s value of 17 KiB', header(`X: ${'a'.repeat(KIB_17)}`), 431],
  ['a header\'s name of 17 KiB', header(`${'a'.repeat(KIB_17)}: x`), 431],
  ['a URL of 17 KiB', get(`/${'a'.repeat(KIB_17)}`), 431],
  ['a URL of 15 KiB', get(`/${'a'.repeat(15_360)}`), 404, NOT_FOUND],
  ['no Host in HTTP/1.1', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', 400, BAD_HOST],
  ...['a b', '<script>', 'a,b', 'a/b', 'user@a', '[::1', 'a:b'].map((host): Row => [`a Host of ${host}`, get().replace('oneloop', host), 400, BAD_HOST]),
  ...['a', 'a:1', '[::1]:80', '192.0.2.1', ''].map((host): Row => [`a Host of ${host}`, get().replace('oneloop', host), 200, HEALTHY]),
  ['Host twice', header('Host: other.example'), 400, BAD_HOST],
  ['Host twice, the same', header('host: oneloop'), 400, BAD_HOST],
  ['Host twice in HTTP/1.0', header('Host: oneloop').replace('1.1', '1.0'), 400, BAD_HOST],

  // Section 3: methods, targets, versions.
  ['an unknown method', get().replace('GET', 'FOO'), 400, FRAMING],
  ['a method in lower case', get().replace('GET', 'get'), 400, FRAMING],
  ['a method of 32 KiB', get().replace('GET', 'G'.repeat(32_768)), 400, FRAMING],
  ['a known method that nothing takes', get().replace('GET', 'PROPFIND'), 405, /\r\nallow: GET, HEAD, OPTIONS\r\n/i],
  ['TRACE', get().replace('GET', 'TRACE'), 405],
  ['absolute form', get('http://oneloop/healthz'), 200, HEALTHY],
  ['absolute form of another host', get('http://other.example/healthz'), 200, HEALTHY],
  ['absolute form of another scheme', get('ftp://oneloop/healthz'), 404, NOT_FOUND],
  ['authority form with GET', get('oneloop:443'), 400, FRAMING],
  ['CONNECT', `CONNECT oneloop:443 HTTP/1.1\r\n${HEAD}\r\n`, 405, /\r\nallow: /i],
  ['CONNECT, then a request for the tunnel', `CONNECT oneloop:443 HTTP/1.1\r\nHost: oneloop\r\n\r\n${get()}`, 405],
  ['OPTIONS *', get('*').replace('GET', 'OPTIONS'), 204, /\r\nallow: GET, HEAD, OPTIONS\r\n/i],
  ['OPTIONS /', get('/').replace('GET', 'OPTIONS'), 204, /\r\nallow: GET, HEAD, OPTIONS\r\n/i],
  ['absolute form with a method that the path does not take', get('http://oneloop/healthz').replace('GET', 'DELETE'), 405],
  ['absolute form without a path', get('http://oneloop?x'), 200],
  ['a space in the target', get('/a b'), 400, FRAMING],
  ['a tab for the space', get().replace(' ', '\t'), 400, FRAMING],
  ['raw bytes above 127 in the target', get('/\xff\xfe'), 400, FRAMING],
  ['HTTP/0.9', 'GET /healthz\r\n\r\n', 200, HEALTHY],
  ['HTTP/1.0 without Host', 'GET /healthz HTTP/1.0\r\n\r\n', 200, HEALTHY],
  ['HTTP/1.2', get().replace('1.1', '1.2'), 400, FRAMING],
  ['HTTP/9.9', get().replace('1.1', '9.9'), 400, FRAMING],
  ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 400, FRAMING],
  ['a TLS handshake', '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03', 400, FRAMING],
  ['nothing but garbage', 'garbage\r\n\r\n', 400, FRAMING],
  ['200 KiB of empty lines before a request', '\r\n'.repeat(102_400) + get(), 200, HEALTHY],

  // Paths and queries.
  ['a bad percent sign', get('/%zz'), 400, BAD_URL],
  ['half a percent sign', get('/%'), 400, BAD_URL],
  ['percent signs that are no UTF-8', get('/%ff%fe'), 400, BAD_URL],
  ['a bad percent sign in the query', get('/healthz?a=%zz'), 200, HEALTHY],
  ['an encoded NUL', get('/%00'), 404, NOT_FOUND],
  ['a burst of bad percent signs', KEPT.replace('/healthz', '/%zz').repeat(31) + get('/%zz'), Array<number>(32).fill(400), BAD_URL],
  ...['../package.json', '%2e%2e/package.json', '..%2fpackage.json', '%252e%252e%252fpackage.json', '..\\package.json', './/../package.json', '%00/../package.json']
    .map((path): Row => [`a traversal: /assets/${path}`, get(`/assets/${path}`), 404, NOT_FOUND]),
  ['a path of two slashes', get('//etc/passwd'), 404, NOT_FOUND],
  ['a file that is there', get('/assets/icon.svg'), 200],
  ['__proto__ and constructor.prototype in the query', get('/healthz?__proto__[a]=1&constructor.prototype=2'), 200, HEALTHY],
  ['__proto__ among parameters that a schema knows', get('/api/lab/run?service=none&__proto__=1').replace('GET', 'POST'), 404, NO_SERVICE],
  ['__proto__ as a service\'s name', get('/api/lab/run?service=__proto__').replace('GET', 'POST'), 404, NO_SERVICE],
  ['__proto__ in a JSON body', json('{"__proto__":{"polluted":1}}'), 404, NO_SERVICE],
  ['__proto__ in a JSON body, escaped', json('{"\\u005f_proto__":{"polluted":1}}'), 404, NO_SERVICE],
  ['constructor.prototype in a JSON body', json('{"constructor":{"prototype":{"polluted":1}}}'), 404, NO_SERVICE],
  ['a JSON body 100,000 arrays deep', json('['.repeat(100_000)), 404, NO_SERVICE],

  // Several requests on one connection, and Expect.
  ['a good request, then a missing path, then a good one', KEPT + KEPT.replace('healthz', 'nothing') + get(), [200, 404, 200], HEALTHY],
  ['a good request, and garbage once it was answered', [KEPT, 'garbage\r\n\r\n'], [200, 400], FRAMING],
  ['a request behind one that closes', get() + get('/nothing'), 200, HEALTHY],
  ['a request behind one that closes and is not answered yet', LATER.replace('Host', 'Connection: close\r\nHost') + get('/nothing'), 200],
  ['Expect: 100-continue', post('Expect: 100-continue\r\nContent-Length: 2\r\n', '{}'), [100, 404], NO_SERVICE],
  ['Expect: 100-continue for a body that is too large', post(`Expect: 100-continue\r\nContent-Length: ${MIB + 1}\r\n`), 413, /"ERR_HTTP_MAX_BODY_BYTES"/],
  ['Expect: 100-continue for a path that is missing', post('Expect: 100-continue\r\nContent-Length: 2\r\n').replace('/api/lab/run', '/nothing'), 404, NOT_FOUND],
  ['Expect of something that nobody knows', header('Expect: tea'), 200, HEALTHY],
  ['half a request line, then FIN', ['GET /heal', FIN], 400, FRAMING],
  ['half the headers, then FIN', [get().slice(0, -2), FIN], 400, FRAMING],
  ['half a body, then FIN', [post('Content-Length: 3\r\n', '{}'), FIN], 400, FRAMING],
  ['FIN, and nothing else', FIN, []],

  // RFC 9110, section 7.8: upgrades to what oneloop does not offer are ignored.
  ['an upgrade to another protocol', h2c(), 200, HEALTHY],
  ['an upgrade to another protocol, then FIN', [h2c(), FIN], 200, HEALTHY],
  ['an upgrade to another protocol, and 100 KiB for it', h2c() + 'x'.repeat(102_400), 200, HEALTHY],
  ['an upgrade of a path that is missing', h2c('/nothing'), 404, NOT_FOUND],
  ['an upgrade of a bad percent sign', h2c('/%zz'), 400, BAD_URL],
  ['an upgrade of a POST, and its body', h2c('/api/lab/run?service=none', 'Content-Type: application/json\r\nContent-Length: 2\r\n').replace('GET', 'POST') + '{}', 404, NO_SERVICE],
  ['an upgrade right behind a request', KEPT + h2c(), [200, 200], HEALTHY],
  ['an upgrade behind a request that is not answered yet', LATER + h2c(), [200, 200], HEALTHY],
  ['an upgrade behind ten requests that are not answered yet', MUCH_LATER + KEPT.repeat(9) + h2c('/nothing'), [...Array<number>(10).fill(200), 404], NOT_FOUND],
  ['an upgrade behind a request that was answered', [KEPT, h2c()], [200, 200], HEALTHY]
]

export const httpAttacks: readonly Attack[] = rows.map(([name, send, statuses, match]) =>
  ({ name, parts: [send].flat(), answers: [statuses].flat().map(String), ...(match && { match }) }))
