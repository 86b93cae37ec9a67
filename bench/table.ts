/** Tables, for a terminal and in Markdown, and numbers as people read them. */

export interface Table {
  readonly title: string
  readonly notes: readonly string[]
  /** The first column is text, the others are numbers. */
  readonly header: readonly string[]
  readonly rows: readonly (readonly string[])[]
}

/** What there is nothing to say of. */
export const NONE = 'n/a'

export function number (value: number | null | undefined, digits?: number): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE
  const most = digits ?? (value >= 100 ? 0 : value >= 10 ? 1 : 2)
  return value.toLocaleString('en-US', { maximumFractionDigits: most, minimumFractionDigits: value === 0 ? 0 : most })
}

/** A time in µs. */
export function time (us: number | null | undefined): string {
  if (us === null || us === undefined || !Number.isFinite(us) || us === 0) return NONE
  return us >= 1000 ? `${number(us / 1000)} ms` : `${number(us, us >= 10 ? 0 : us >= 1 ? 1 : 2)} µs`
}

export function size (bytes: number | null | undefined): string {
  if (bytes === null || bytes === undefined) return NONE
  return Math.abs(bytes) >= 1024 ? `${number(bytes / 1024, 1)} KB` : `${Math.round(bytes)} B`
}

export function renderText ({ title, notes, header, rows }: Table): string {
  const widths = header.map((label, column) => Math.max(label.length, ...rows.map((row) => row[column]?.length ?? 0)))
  const line = (cells: readonly string[]) => `  ${cells.map((cell, column) => column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)).join('  ')}`.trimEnd()
  return [title, ...[header, ...rows].map(line), ...notes.map((note) => `  ${note}`), ''].join('\n')
}

export function renderMarkdown ({ title, notes, header, rows }: Table): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [
    `### ${title}`,
    '',
    line(header),
    line(header.map((_, column) => column === 0 ? '---' : '--:')),
    ...rows.map(line),
    '',
    ...notes.flatMap((note) => [note, ''])
  ].join('\n')
}
