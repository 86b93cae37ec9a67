/** What the chart draws: values and their times, as far back as the chart shows. */
import type { AlignedData } from 'uplot'

/** Times in seconds; null where nothing was measured. */
export interface Curve { readonly xs: number[], readonly ys: (number | null)[] }

export function append (curve: Curve | undefined, at: number, y: number | null): void {
  curve?.xs.push(at / 1000)
  curve?.ys.push(y)
}

/** Drops what has left the window, but for the last of it: the curve enters from there. */
export function forget ({ xs, ys }: Curve, oldest: number): void {
  const first = xs.findIndex((x) => x >= oldest)
  const count = (first === -1 ? xs.length : first) - 1
  if (count <= 0) return
  xs.splice(0, count)
  ys.splice(0, count)
}

export function emptyData (curveCount: number): AlignedData {
  return [[], ...Array.from({ length: curveCount }, () => [])]
}

/** The curves of a lane share their times. The last value holds until the next is known. */
export function dataOf (curves: readonly Curve[], now: number): AlignedData {
  const xs = curves[0]?.xs ?? []
  const until = Math.max(now, xs.at(-1) ?? now)
  return [[...xs, until], ...curves.map(({ ys }) => [...ys, ys.at(-1) ?? null])]
}
