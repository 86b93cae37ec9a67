/** The head of a WebSocket client's frame (RFC 6455, section 5.2). */

/** Of a client's frame before its mask: two bytes and the longest length. */
const MAX_BEFORE_MASK = 10
export const MASK_BYTES = 4
export const MAX_HEAD_BYTES = MAX_BEFORE_MASK + MASK_BYTES
export const MIN_FRAME_BYTES = 2 + MASK_BYTES

export const FIN = 0x80
export const OPCODE = 0x0f
const CONTINUATION = 0
const TEXT = 1
const BINARY = 2
/** This opcode and the two after it are control frames, whose payload has 125 bytes at most (section 5.5). */
export const CLOSE = 8
const PONG = 10
const MAX_CONTROL_BYTES = 125
/** The first byte of a frame that is a whole message. */
export const FIN_TEXT = FIN | TEXT
export const FIN_BINARY = FIN | BINARY

const RSV = 0x70
export const MASKED = 0x80
/** Lengths that stand for one of two or of eight bytes that follow. */
const TWO_BYTES = 126
const EIGHT_BYTES = 127

/** How long a head with such a second byte is, with its mask. */
export function headBytes (second: number): number {
  const length = second & ~MASKED
  return length < TWO_BYTES ? MIN_FRAME_BYTES : length === TWO_BYTES ? MIN_FRAME_BYTES + 2 : MAX_HEAD_BYTES
}

/** Whether a frame with such first bytes may not come, inside of a message that has begun in another frame or outside of one. */
export function isBroken (first: number, second: number, isInMessage: boolean): boolean {
  const opcode = first & OPCODE
  if ((first & RSV) !== 0 || (second & MASKED) === 0) return true
  if (opcode >= CLOSE) return opcode > PONG || (first & FIN) === 0 || (second & ~MASKED) > MAX_CONTROL_BYTES
  return opcode > BINARY || (opcode === CONTINUATION) !== isInMessage
}

/**
 * The size of the frame that begins at `at` and is not broken, in bytes; 0 if that is not known yet.
 * @param end behind the last byte that has come.
 */
export function frameBytes (bytes: Buffer, at: number, end: number): number {
  const there = end - at
  if (there < 2) return 0
  const length = (bytes[at + 1] as number) & ~MASKED
  if (length < TWO_BYTES) return MIN_FRAME_BYTES + length
  if (length < EIGHT_BYTES) return there < 4 ? 0 : MIN_FRAME_BYTES + 2 + bytes.readUInt16BE(at + 2)
  return there < MAX_BEFORE_MASK ? 0 : MAX_HEAD_BYTES + Number(bytes.readBigUInt64BE(at + 2))
}
