/** The WebSocket corpus: handshakes and frames that RFC 6455 forbids or that would be costly, and the answer to each. */
import { LATER, type Attack } from './corpus-http.ts'

const KEY = 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=='
const MIB = 1_048_576
const [CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG] = [0x0, 0x1, 0x2, 0x8, 0x9, 0xa]
const [RSV1, RSV2, RSV3] = [0x40, 0x20, 0x10]

function handshake ({ method = 'GET', path = '/ws/echo', version = '1.1', connection = 'Connection: Upgrade', key = KEY, wsVersion = 'Sec-WebSocket-Version: 13', others = '' } = {}): string {
  const lines = [`${method} ${path} HTTP/${version}`, 'Host: oneloop', connection, 'Upgrade: websocket', key, wsVersion, others]
  return `${lines.filter((line) => line !== '').join('\r\n')}\r\n\r\n`
}

interface FrameOptions {
  isLast?: boolean
  rsv?: number
  isMasked?: boolean
  /** A false length for the frame's header. */
  claimed?: bigint
}

/** One frame (RFC 6455, section 5.2), one character for each byte. Its mask is not zero, to catch a server that forgets to unmask. */
export function frame (opcode: number, text = '', { isLast = true, rsv = 0, isMasked = true, claimed = BigInt(Buffer.byteLength(text, 'latin1')) }: FrameOptions = {}): string {
  const payload = Buffer.from(text, 'latin1')
  const mask = isMasked ? Buffer.from([0x37, 0xfa, 0x21, 0x3d]) : Buffer.alloc(0)
  if (isMasked) for (let i = 0; i < payload.length; i++) payload[i] = (payload[i] ?? 0) ^ (mask[i % 4] ?? 0)
  const length = Buffer.alloc(claimed < 126n ? 1 : claimed < 65_536n ? 3 : 9)
  if (claimed < 126n) length.writeUInt8(Number(claimed))
  else if (claimed < 65_536n) length.writeUIntBE(126 * 65_536 + Number(claimed), 0, 3)
  else length.writeUInt8(127) && length.writeBigUInt64BE(claimed, 1)
  if (isMasked) length[0] = (length[0] ?? 0) | 0x80
  return Buffer.concat([Buffer.of((isLast ? 0x80 : 0) | rsv | opcode), length, mask, payload]).toString('latin1')
}

/** The same frame as bytes; a text is encoded as UTF-8. */
export const frameBytes = (opcode: number, payload: Uint8Array | string, options?: FrameOptions): Buffer =>
  Buffer.from(frame(opcode, Buffer.from(payload).toString('latin1'), options), 'latin1')

/** Closes the connection, which stays open after an ignored upgrade. */
const LAST = 'Connection: Upgrade, close'

const part = (opcode: number, text = ''): string => frame(opcode, text, { isLast: false })
const close = (code: number, reason = ''): string => frame(CLOSE, String.fromCharCode(code >> 8, code & 255) + reason)
const BYE = close(1000)

/** No status: the server closes without an answer. */
type HandshakeRow = readonly [name: string, send: string, status: number | readonly (number | string)[], match?: RegExp]

/** Section 4.2.1, by its steps. */
const handshakes: readonly HandshakeRow[] = [
  ['no key', handshake({ key: '' }), 400, /Sec-WebSocket-Key/],
  ['a key that is too short', handshake({ key: 'Sec-WebSocket-Key: c2hvcnQ=' }), 400, /Sec-WebSocket-Key/],
  ['a key that is no base64', handshake({ key: 'Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==' }), 400, /Sec-WebSocket-Key/],
  ['two keys', handshake({ others: KEY }), 400, /Sec-WebSocket-Key/],
  ['no version', handshake({ wsVersion: '' }), 400, /\r\nSec-WebSocket-Version: 13\b/i],
  ['version 12', handshake({ wsVersion: 'Sec-WebSocket-Version: 12' }), 400, /\r\nSec-WebSocket-Version: 13\b/i],
  ['a version that is no number', handshake({ wsVersion: 'Sec-WebSocket-Version: x' }), 400, /\r\nSec-WebSocket-Version: 13\b/i],
  ['two versions', handshake({ others: 'Sec-WebSocket-Version: 13' }), 400, /\r\nSec-WebSocket-Version: 13\b/i],
  ['a list of subprotocols that is none', handshake({ others: 'Sec-WebSocket-Protocol: a,,b' }), 400, /"ERR_WS_PROTOCOL"/],
  ['a subprotocol twice', handshake({ others: 'Sec-WebSocket-Protocol: a, a' }), 400, /Content-Security-Policy: [^]*"ERR_WS_PROTOCOL"/i],
  ['a bad key, from a browser', handshake({ key: '', others: 'Accept: text/html' }), 400, /\r\ncontent-type: text\/html[^]*Sec-WebSocket-Key/i],
  ['POST', handshake({ method: 'POST', connection: LAST }), 405, /\r\nallow: GET, HEAD, OPTIONS\r\n/i],
  ['POST with a body', handshake({ method: 'POST', connection: LAST, others: 'Content-Type: application/json\r\nContent-Length: 2' }) + '{}', 405],
  ['HEAD', handshake({ method: 'HEAD', connection: LAST }), 426],
  ['no Connection header, so no upgrade', handshake({ connection: '' }).replace('Host', 'Connection: close\r\nHost'), 426, /\r\nupgrade: websocket\r\n/i],
  ['a path with a bad percent sign', handshake({ path: '/%zz', connection: LAST }), 400],
  ['a path that is no WebSocket', handshake({ path: '/nothing', connection: LAST }), 404],
  ['a path in absolute form', handshake({ path: 'http://oneloop/ws/echo' }) + BYE, [101, 'close 1000']],
  ['two protocols to upgrade to', handshake().replace('websocket', 'websocket, h2c') + BYE, [101, 'close 1000']],
  ['an empty list of subprotocols', handshake({ others: 'Sec-WebSocket-Protocol:' }) + BYE, [101, 'close 1000']],
  ['another site\'s page at the feed', handshake({ path: '/ws/feed', others: 'Origin: http://other.example' }), 403, /"ERR_ORIGIN"/],
  ['HTTP/1.0, which knows no upgrade', handshake({ version: '1.0' }), 426],
  ['no Host', handshake().replace(/Host.*\r\n/, ''), 400, /"ERR_HOST"/],
  ['behind a request that is not answered yet', LATER + handshake() + BYE, [200, 101, 'close 1000']],
  ['behind a POST with a body', LATER.replace('\r\n\r\n', '\r\nContent-Length: 2\r\n\r\n{}') + handshake() + BYE, [200, 101, 'close 1000']],
  ['behind a POST whose body is too large', LATER.replace('\r\n\r\n', '\r\nContent-Length: 1048577\r\n\r\n{}') + handshake(), 413],
  ['101 headers', handshake({ others: Array.from({ length: 96 }, (_, i) => `X-${i}: y`).join('\r\n') }), 431, /"ERR_HTTP_MAX_HEADERS"/],
  ['2,500 headers', handshake({ others: Array.from({ length: 2500 }, (_, i) => `X-${i}: y`).join('\r\n') }), 431],
  ['a header of 17 KiB', handshake({ others: `X: ${'a'.repeat(17_408)}` }), 431]
]

type FrameRow = readonly [name: string, frames: string, answers: readonly string[]]

const fails = (code: number) => (name: string, frames: string): FrameRow => [name, frames, [`close ${code}`]]
const broken = fails(1002)
const noText = fails(1007)
const tooMuch = fails(1008)
const tooLarge = fails(1009)

const frames: readonly FrameRow[] = [
  // Valid frames, so that a server that refuses everything fails.
  ['a text and a binary message', frame(TEXT, 'Hello') + frame(BINARY, '\xff\0') + BYE, ['text Hello', 'binary \xff\0', 'close 1000']],
  ['an empty message', frame(TEXT) + BYE, ['text ', 'close 1000']],
  ['a ping between two fragments', part(TEXT, 'Hel') + frame(PING, 'there?') + frame(CONTINUATION, 'lo') + BYE, ['pong there?', 'text Hello', 'close 1000']],
  ['a ping of 125 bytes', frame(PING, 'x'.repeat(125)) + BYE, [`pong ${'x'.repeat(125)}`, 'close 1000']],
  ['a pong that nobody asked for', frame(PONG, 'x') + BYE, ['close 1000']],
  ['a character over two fragments', part(TEXT, '\xe2\x82') + frame(CONTINUATION, '\xac') + BYE, ['text \xe2\x82\xac', 'close 1000']],
  ['a character over four fragments, an empty one among them', part(TEXT, '\xf0') + part(CONTINUATION, '\x9f\x98') + part(CONTINUATION) + frame(CONTINUATION, '\x80') + BYE, ['text \xf0\x9f\x98\x80', 'close 1000']],
  ['the longest message', frame(BINARY, 'x'.repeat(MIB)) + BYE, [`binary ${MIB} bytes`, 'close 1000']],
  ['as many fragments as WS_MAX_FRAGMENTS', part(TEXT, 'x') + part(CONTINUATION, 'x').repeat(1022) + frame(CONTINUATION, 'x') + BYE, ['text 1024 bytes', 'close 1000']],
  ['close without a code', frame(CLOSE), ['close']],
  ['close, and a message behind it', close(1001) + frame(TEXT, 'Hello'), ['close 1001']],
  ...[1000, 1003, 1007, 1011, 3000, 4999].map((code): FrameRow => [`close ${code}`, close(code, 'bye'), [`close ${code}`]]),

  // Section 5.2: the frame.
  ...[RSV1, RSV2, RSV3, RSV1 | RSV2 | RSV3].flatMap((rsv) => [
    broken(`RSV bits 0x${rsv.toString(16)} on a text`, frame(TEXT, 'Hello', { rsv })),
    broken(`RSV bits 0x${rsv.toString(16)} on a ping`, frame(PING, 'Hello', { rsv })),
    broken(`RSV bits 0x${rsv.toString(16)} on a continuation`, part(TEXT, 'Hel') + frame(CONTINUATION, 'lo', { rsv }))
  ]),
  ...[0x3, 0x4, 0x5, 0x6, 0x7, 0xb, 0xc, 0xd, 0xe, 0xf].map((opcode) => broken(`the reserved opcode 0x${opcode.toString(16)}`, frame(opcode, 'Hello'))),
  ...[TEXT, BINARY, PING, CLOSE].map((opcode) => broken(`the opcode 0x${opcode.toString(16)} without a mask`, frame(opcode, '\x03\xe8', { isMasked: false }))),
  broken('an HTTP request', 'GET / HTTP/1.1\r\nHost: oneloop\r\n\r\n'),
  broken('bytes of zero', '\0'.repeat(64)),
  broken('bytes of 255', '\xff'.repeat(64)),
  tooLarge('a length with its top bit', frame(BINARY, '', { claimed: 2n ** 63n })),
  tooLarge('a length of 2^53', frame(BINARY, '', { claimed: 2n ** 53n })),
  tooLarge('a length above WS_MAX_MESSAGE_BYTES', frame(BINARY, '', { claimed: BigInt(MIB + 1) })),
  tooLarge('fragments that are together above WS_MAX_MESSAGE_BYTES', part(BINARY, 'x'.repeat(MIB)) + frame(CONTINUATION, 'x')),

  // Section 5.4 and 5.5: fragments and control frames.
  broken('a ping of 126 bytes', frame(PING, 'x'.repeat(126))),
  broken('a close of 126 bytes', close(1000, 'x'.repeat(124))),
  broken('a ping in fragments', part(PING, 'x') + frame(CONTINUATION, 'y')),
  broken('a close in fragments', part(CLOSE, '\x03\xe8') + frame(CONTINUATION)),
  broken('a continuation of nothing', frame(CONTINUATION, 'x')),
  ['a continuation of a whole message', frame(TEXT, 'Hello') + part(CONTINUATION, 'x'), ['text Hello', 'close 1002']],
  broken('a text inside a message in fragments', part(TEXT, 'Hel') + frame(TEXT, 'Hello')),
  broken('a binary inside a message in fragments', part(TEXT, 'Hel') + part(BINARY, 'lo')),
  tooMuch('more fragments than WS_MAX_FRAGMENTS', part(TEXT, 'x') + part(CONTINUATION, 'x').repeat(2000)),
  tooMuch('more fragments than WS_MAX_FRAGMENTS, all of them empty', part(TEXT) + part(CONTINUATION).repeat(2000)),

  // Section 5.5.1 and 7.4: close.
  broken('a close of one byte', frame(CLOSE, '\x03')),
  ...[0, 1, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535].map((code) => broken(`close ${code}`, close(code))),
  noText('a reason that is no UTF-8', close(1000, '\xff')),

  // Section 8.1: text is UTF-8.
  noText('a byte that is none in UTF-8', frame(TEXT, 'a\xffb')),
  noText('an overlong slash', frame(TEXT, '\xc0\xaf')),
  noText('half a surrogate pair', frame(TEXT, '\xed\xa0\x80')),
  noText('a character above U+10FFFF', frame(TEXT, '\xf4\x90\x80\x80')),
  noText('a character that never ends', frame(TEXT, '\xe2\x82')),
  noText('a character broken by its fragments', part(TEXT, '\xe2\x82') + frame(CONTINUATION, '\xff'))
]

/** Each row twice: in the same segment as the handshake, and after its answer. */
export const websocketAttacks: readonly Attack[] = [
  ...handshakes.map(([name, send, status, match]) => ({ name: `a handshake: ${name}`, parts: [send], answers: [status].flat().map(String), ...(match && { match }) })),
  ...frames.flatMap(([name, send, answers]) => [
    { name, parts: [handshake(), send], answers: ['101', ...answers] },
    { name: `${name}, right behind the handshake`, parts: [handshake() + send], answers: ['101', ...answers] }
  ]),
  // Compression was not negotiated, so a compression bomb is refused.
  {
    name: 'a compressed frame after an offer of permessage-deflate',
    parts: [handshake({ others: 'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits' }), frame(TEXT, '\xf2\x48\xcd\xc9\xc9\x07\x00', { rsv: RSV1 })],
    answers: ['101', 'close 1002'],
    match: /^(?![^]*Sec-WebSocket-Extensions)/i
  }
]
