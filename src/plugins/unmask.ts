/** Takes the mask off what a WebSocket client sent (RFC 6455, section 5.3). */
import { isUtf8 } from 'node:buffer'
import { createRequire } from 'node:module'
import { MASK_BYTES } from './frame-head.ts'

/** From here on bufferutil, where it is installed, saves more than its call costs; 64 KiB messages cost 0.1 with it of what they do without. */
const MIN_NATIVE_BYTES = 48

type NativeUnmask = (bytes: Uint8Array, mask: Uint8Array) => void

/** @returns undefined where bufferutil, an optional dependency, is not there. */
export function nativeUnmask (): NativeUnmask | undefined {
  try {
    return (createRequire(import.meta.url)('bufferutil') as { unmask: NativeUnmask }).unmask
  } catch {
    // As ws does without it.
  }
}

/**
 * Unmasks a payload where it stands, or masks it again: its mask is right in front of it.
 * @returns whether a byte of it is not ASCII, or undefined where that was not looked at.
 */
export type Unmask = (bytes: Buffer, from: number, to: number) => boolean | undefined

export const unmaskBy = (native: NativeUnmask | undefined): Unmask => (bytes, from, to) => {
  const maskAt = from - MASK_BYTES
  if (native && to - from >= MIN_NATIVE_BYTES) {
    native(bytes.subarray(from, to), bytes.subarray(maskAt, from))
    return
  }
  let seen = 0
  for (let i = from; i < to; i++) seen |= bytes[i] = (bytes[i] as number) ^ (bytes[maskAt + ((i - from) & 3)] as number)
  return seen > 0x7f
}

export const unmask = unmaskBy(nativeUnmask())

/** Whether a payload is text, given what `unmask` has seen of it. */
export const isText = (payload: Uint8Array, isBeyondAscii: boolean | undefined): boolean => isBeyondAscii === false || isUtf8(payload)
