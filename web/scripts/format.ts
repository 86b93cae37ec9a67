/** Sizes, times and bytes as people read them. */
export { compactBytes as bytes } from '../../src/shared/bytes.ts'

/** `0.42 ms`, `12.3 ms`, `503 ms`. */
export function milliseconds (ms: number): string {
  return `${ms.toFixed(ms < 1 ? 2 : ms < 100 ? 1 : 0)} ms`
}

/** `9 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`. */
export function duration (seconds: number): string {
  const [d, h, min, s] = [Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, Math.floor(seconds) % 60]
  return d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${min} min` : min > 0 ? `${min} min ${s} s` : `${s} s`
}

/** `14:03:07.123`, in the reader's time zone. */
export function clock (at: number): string {
  const time = new Date(at)
  const pad = (part: number, width = 2) => String(part).padStart(width, '0')
  return `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}.${pad(time.getMilliseconds(), 3)}`
}

/** `48 65 6c 6c`, of bytes or of their hex digits. */
export function hex (data: Uint8Array | string): string {
  const pairs = typeof data === 'string' ? data.match(/../g) ?? [] : Array.from(data, (byte) => byte.toString(16).padStart(2, '0'))
  return pairs.join(' ')
}

/** Control characters become visible: `\r`, `\n`, `·`. */
export function visible (text: string): string {
  // eslint-disable-next-line no-control-regex -- finding control characters is the point
  return text.replaceAll('\r', '\\r').replaceAll('\n', '\\n\n').replace(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g, '·').replace(/\n$/, '')
}

export function plural (count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
