/** What a service is, and all it may touch: a pure description of a protocol that knows no server. */

import type { Transport } from './shared/transport.ts'

export type { Transport }

/** The remote end of a connection or the sender of a datagram. IPv4 is written as IPv4 on a dual-stack socket too. */
export interface Peer {
  readonly address: string
  readonly port: number
}

/** One question and answer that shows a service at work; `oneloop check` and the lines to paste are made from it. */
export interface Example {
  /** What the client sends; nothing for a service that only speaks. */
  readonly send?: string
  /** The service speaks first, and its client waits for that. */
  readonly isGreeted?: true
  /** What the whole answer matches; nothing for a service that never answers. */
  readonly answer?: RegExp
}

interface Description {
  /** Lower-case words joined by `-`. The setting `<NAME>_PORT` follows from it. */
  readonly name: string
  /** One sentence: what the service does. */
  readonly summary: string
  readonly example: Example
}

/** The client's end of a TCP connection, as far as a service may use it. */
export interface TcpClient {
  readonly remote: Peer
  /** Queues bytes (a string as UTF-8). Where the client reads too slowly, the runner stops reading from it. */
  write(data: Uint8Array | string): void
  /** Queues the last bytes and then a FIN. What the client sends after this is discarded. */
  end(data?: Uint8Array | string): void
}

export interface TcpReceiver {
  /** The next bytes of the stream, cut wherever the network cut them: TCP has no messages. */
  data?(chunk: Buffer): void
  /** The client's FIN: it sends no more, but may still read. Without this method the runner answers with `end()`. */
  end?(): void
}

export interface TcpService extends Description {
  readonly transport: 'tcp'
  readonly ports: readonly number[]
  /** Runs once per client. What it returns receives the data, so one client's state is a closure variable. */
  onConnection(client: TcpClient): ((chunk: Buffer) => void) | TcpReceiver | void
}

export interface UdpService extends Description {
  readonly transport: 'udp'
  readonly ports: readonly number[]
  /**
   * Returns the reply, or nothing. A reply larger than its request is dropped.
   * `log` writes one line to the log, bounded and with control characters escaped.
   */
  onMessage(message: Buffer, from: Peer, log: (text: string) => void): Uint8Array | string | void
}

/** The client's end of a WebSocket connection, as far as a service may use it. */
export interface WebSocketClient {
  readonly remote: Peer
  /** Whether more than 256 KiB are waiting for this client: a service that speaks unasked skips it. */
  readonly isBehind: boolean
  /** Queues one message: a string as text, bytes as binary unless said otherwise. */
  send(message: Uint8Array | string, isBinary?: boolean): void
  /**
   * Queues a close frame (RFC 6455, section 7.4.1), its reason of at most 123 bytes.
   * @param limit the limit that the client has crossed, if that is why: it is counted.
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
  /** Browsers may connect from this server's own page alone. */
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
