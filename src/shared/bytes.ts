/** Parses and formats sizes such as `130MiB`, `64 KiB` and `1000`. */

const UNITS: Readonly<Record<string, number>> = { '': 1, b: 1, kib: 1024, mib: 1024 ** 2, gib: 1024 ** 3, kb: 1e3, mb: 1e6, gb: 1e9 }

/** Returns bytes. Throws a RangeError that names the valid forms. */
export function parseBytes (text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?i?b?)$/i.exec(text.trim())
  const unit = UNITS[match?.[2]?.toLowerCase() ?? '?']
  const bytes = Math.round(Number(match?.[1]) * (unit ?? NaN))
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`'${text}' is not a size: write bytes, or a number with KiB, MiB, GiB, kB, MB or GB`)
  return bytes
}

/** `130 MiB`, `1.5 KiB`, `12 bytes`. */
export function formatBytes (bytes: number): string {
  const [unit, size] = bytes >= 1024 ** 3 ? ['GiB', 1024 ** 3] as const : bytes >= 1024 ** 2 ? ['MiB', 1024 ** 2] as const : bytes >= 1024 ? ['KiB', 1024] as const : ['bytes', 1] as const
  return `${Number((bytes / size).toFixed(1))} ${unit}`
}

/** `512 B`, `1.5 KiB`, `12.0 MiB`: for columns of counters, which must not change their width. */
export function compactBytes (count: number): string {
  if (count < 1024) return `${count} B`
  if (count < 1024 ** 2) return `${(count / 1024).toFixed(1)} KiB`
  if (count < 1024 ** 3) return `${(count / 1024 ** 2).toFixed(1)} MiB`
  return `${(count / 1024 ** 3).toFixed(1)} GiB`
}
