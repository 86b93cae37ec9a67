/** Checks a WebSocket's opening handshake (RFC 6455, section 4.2.1). ws checks it too, but its answer bypasses every hook. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'

const KEY = /^[+/0-9A-Za-z]{22}==$/
/** ws also speaks version 8, that of the last draft. */
const VERSIONS: readonly unknown[] = ['13', '8']
/** A list of different tokens (RFC 9110, section 5.6.2). */
const TOKEN = /^[!#$%&'*+.^_`|~\dA-Za-z-]+$/

export class HandshakeError extends Error {
  readonly statusCode = 400
  readonly code: string
  /** Headers of the answer. */
  readonly headers = { 'sec-websocket-version': '13' }

  constructor (code: string, message: string) {
    super(message)
    this.code = code
  }
}

/** The answer to a request for a WebSocket's path that is not an upgrade. */
export class UpgradeRequiredError extends Error {
  readonly statusCode = 426
  readonly code = 'ERR_UPGRADE_REQUIRED'
  readonly headers: Readonly<Record<string, string>>

  constructor (path: string, { headers, httpVersion }: IncomingMessage) {
    super(`${path} is a WebSocket: connect to it with a WebSocket client`)
    const isLast = httpVersion === '1.0' || /\bclose\b/i.test(headers.connection ?? '')
    this.headers = { upgrade: 'websocket', connection: isLast ? 'upgrade, close' : 'upgrade' }
  }
}

export function checkHandshake (headers: IncomingHttpHeaders): HandshakeError | undefined {
  const { 'sec-websocket-key': key = '', 'sec-websocket-version': version, 'sec-websocket-protocol': list } = headers
  if (!KEY.test(key)) return new HandshakeError('ERR_WS_KEY', 'Sec-WebSocket-Key has to be 16 bytes in base64 (RFC 6455, section 4.1)')
  if (!VERSIONS.includes(version)) return new HandshakeError('ERR_WS_VERSION', 'Sec-WebSocket-Version has to be 13 (RFC 6455, section 4.1)')
  const protocols = list?.split(',').map((protocol) => protocol.trim()) ?? []
  if (!protocols.every((protocol) => TOKEN.test(protocol)) || new Set(protocols).size < protocols.length) {
    return new HandshakeError('ERR_WS_PROTOCOL', 'Sec-WebSocket-Protocol has to be a list of different tokens (RFC 6455, section 4.1)')
  }
}
