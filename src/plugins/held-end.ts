/** A client's FIN that waits for what came before it. */
import type { Socket } from 'node:net'

/**
 * From now on a socket's 'end' is told only where it is not held; who holds it tells it by `emit`, later. That Node.js's streams tell it
 * by the socket's own `emit` is not documented: the trials of reading (read-into.ts) hold one.
 * @param hold false where it is to be told now.
 */
export function holdEnd (raw: Socket, hold: () => boolean): void {
  const emit = raw.emit.bind(raw) as (name: string | symbol, ...values: unknown[]) => boolean
  raw.emit = (name: string | symbol, ...values: unknown[]) => (name === 'end' && hold()) || emit(name, ...values)
}
