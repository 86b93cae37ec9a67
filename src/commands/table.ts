/** Rows as aligned columns for a terminal. */
export function table (head: readonly string[], rows: readonly (readonly string[])[]): string {
  return columns([head, ...rows])
}

export function columns (rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_cell, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? []
  return rows.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd()).join('\n')
}
