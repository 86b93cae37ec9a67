/** What a TCP session and its reader need of a socket. A `net.Socket` has it all. */
import type { Socket } from 'node:net'

export interface TcpSocket extends Pick<Socket, 'remoteAddress' | 'remotePort' | 'bytesRead' | 'destroyed' | 'writableLength' | 'readableEnded' | 'writableFinished' | 'timeout'> {
  /** `onWritten` is called when the system has taken all of it, if that was not at once. */
  write (data: Uint8Array | string, onWritten: () => void): unknown
  end (): unknown
  resume (): unknown
  setNoDelay (): unknown
  setKeepAlive (isOn: boolean, delayMs: number): unknown
  /** 'timeout' comes after so long without a byte in either direction. */
  setTimeout (ms: number): unknown
  destroy (): unknown
  on (event: 'error', listener: (this: this, error: Error) => void): this
  on (event: 'end' | 'finish' | 'timeout' | 'close', listener: (this: this) => void): this
}
