/** Takes the mask off what a WebSocket client sent (RFC 6455, section 5.3). */
import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import { MASK_BYTES } from './frame-head.ts'

/** From here on bufferutil, where it is installed, costs less than its call. */
const MIN_NATIVE_BYTES = 48

type Unmask = (bytes: Uint8Array, mask: Uint8Array) => void
const native = nativeUnmask()

/** @returns undefined where bufferutil, an optional dependency, is not there. */
function nativeUnmask (): Unmask | undefined {
  try {
    return (createRequire(import.meta.url)('bufferutil') as { unmask: Unmask }).unmask
  } catch {
    // As ws does without it.
  }
}

/**
 * Unmasks a payload where it stands, or masks it again: its mask is right in front of it.
 * @returns whether a byte of it is not ASCII, or undefined where that was not looked at.
 */
export function unmask (bytes: Buffer, from: number, to: number): boolean | undefined {
  const maskAt = from - MASK_BYTES
  if (native && to - from >= MIN_NATIVE_BYTES) {
    native(bytes.subarray(from, to), bytes.subarray(maskAt, from))
    return
  }
  let seen = 0
  for (let i = from; i < to; i++) seen |= bytes[i] = (bytes[i] as number) ^ (bytes[maskAt + ((i - from) & 3)] as number)
  return seen > 0x7f
}

/** Whether a payload is text, given what `unmask` has seen of it. */
export const isText = (payload: Uint8Array, isBeyondAscii: boolean | undefined): boolean => isBeyondAscii === false || isUtf8(payload)
