/** Makes text from clients safe for a log and a terminal. */
import { isUtf8 } from 'node:buffer'

/** C0 and C1 controls, DEL, and characters that reorder or hide text on a terminal (Unicode UAX #9, zero-width, separators). */
// eslint-disable-next-line no-control-regex -- finding control characters is the point
const UNSAFE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** Escapes unsafe characters as `\u001b`, and cuts the text to `maxLength` characters. */
export function printable (text: string, maxLength = 256): string {
  const cut = text.length > maxLength ? `${text.slice(0, maxLength)}…` : text
  return cut.replace(UNSAFE, (mark) => `\\u${mark.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** `'Hello, world'`, printable and whole; bytes that are not UTF-8 become `3 bytes: ff fe 00`. */
export function show (bytes: Buffer): string {
  if (isUtf8(bytes)) return `'${printable(bytes.toString(), Infinity)}'`
  return `${bytes.length} bytes: ${bytes.toString('hex').replace(/(..)(?!$)/g, '$1 ')}`
}
