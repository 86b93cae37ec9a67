/** Defines a service: a description of a protocol that knows nothing of the server, and the only objects it may use. */

import type { Transport } from './shared/transport.ts'

export type { Transport }

/** The remote end of a connection, or the sender of a datagram. An IPv4 address is written as IPv4 even on a dual-stack socket. */
export interface Peer {
  readonly address: string
  readonly port: number
}

/** A question and answer that show the service at work. `oneloop check` and the lines to paste follow from it. */
export interface Example {
  /** What the client sends; absent if the service only speaks. */
  readonly send?: string
  /** The service speaks first, and its client waits for the greeting. */
  readonly isGreeted?: true
  /** Matches the whole answer; absent if the service never answers. */
  readonly answer?: RegExp
}

interface Description {
  /** Lower-case words joined by `-`. The setting `<NAME>_PORT` follows from it. */
  readonly name: string
  /** One sentence that says what the service does. */
  readonly summary: string
  readonly example: Example
}

/** The client's end of a TCP connection, as far as a service may use it. */
export interface TcpClient {
  readonly remote: Peer
  /** Queues bytes (a string as UTF-8). The runner stops reading from a client that reads too slowly. */
  write(data: Uint8Array | string): void
  /** Queues the last bytes and a FIN. Anything the client sends after this is discarded. */
  end(data?: Uint8Array | string): void
}

export interface TcpReceiver {
  /** The next bytes of the stream, split as the network delivers them: TCP has no messages. */
  data?(chunk: Buffer): void
  /** The client's FIN: it sends no more but may still read. Without this method, the runner calls `client.end()`. */
  end?(): void
}

export interface TcpService extends Description {
  readonly transport: 'tcp'
  readonly ports: readonly number[]
  /** Runs once for each client. The returned receiver gets the data, so a client's state is a closure variable. */
  onConnection(client: TcpClient): ((chunk: Buffer) => void) | TcpReceiver | void
}

export interface UdpService extends Description {
  readonly transport: 'udp'
  readonly ports: readonly number[]
  /**
   * Returns the reply, if any. A reply larger than its request is dropped.
   * `log` writes one line to the log, cut to a maximum length and with control characters escaped.
   */
  onMessage(message: Buffer, from: Peer, log: (text: string) => void): Uint8Array | string | void
}

/** The client's end of a WebSocket connection, as far as a service may use it. */
export interface WebSocketClient {
  readonly remote: Peer
  /** Whether more than WS_PAUSE_BYTES are waiting for this client: a service that speaks unasked skips it. */
  readonly isBehind: boolean
  /** Queues one message: by default, a string as text and bytes as binary. */
  send(message: Uint8Array | string, isBinary?: boolean): void
  /**
   * Queues a close frame (RFC 6455, section 7.4.1) with a reason of at most 123 bytes.
   * @param limit the limit that the client has crossed, if any; it is counted.
   */
  close(code: number, reason: string, limit?: string): void
}

export interface WebSocketReceiver {
  message?(message: Buffer, isBinary: boolean): void
  close?(): void
}

export interface WebSocketDescription extends Description {
  readonly transport: 'websocket'
  readonly path: string
  /** Browsers may connect only from this server's own page or an origin in ORIGINS. */
  readonly isForOwnPage?: true
}

export interface WebSocketService extends WebSocketDescription {
  onConnection(client: WebSocketClient): ((message: Buffer, isBinary: boolean) => void) | WebSocketReceiver | void
}

export type RawService = TcpService | UdpService
export type Service = RawService | WebSocketService

export function defineTcpService (service: Omit<TcpService, 'transport'>): TcpService {
  return { transport: 'tcp', ...service }
}

export function defineUdpService (service: Omit<UdpService, 'transport'>): UdpService {
  return { transport: 'udp', ...service }
}

export function defineWebSocketService (service: Omit<WebSocketService, 'transport'>): WebSocketService {
  return { transport: 'websocket', ...service }
}
