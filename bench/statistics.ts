/** Medians, and ratios within a round: what a neighbour does to one target of a round it does to the others too. */

/** Of the values that are there; undefined where none is. */
export function median (values: readonly (number | null | undefined)[]): number | undefined {
  const sorted = values.filter((value) => typeof value === 'number' && Number.isFinite(value)).sort((a, b) => (a as number) - (b as number)) as number[]
  const middle = sorted.length / 2
  if (sorted.length === 0) return undefined
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

export interface Sample { readonly target: string, readonly round: number }

/** The median of a target's values over the base's of the same round. */
export function sameRoundRatio<S extends Sample> (samples: readonly S[], target: string, base: string, read: (sample: S) => number | null | undefined): number | undefined {
  return median(samples.filter((sample) => sample.target === target).map((sample) => {
    const other = samples.find(({ target, round }) => target === base && round === sample.round)
    const [value, baseValue] = [read(sample), other && read(other)]
    return typeof value === 'number' && typeof baseValue === 'number' && baseValue > 0 ? value / baseValue : undefined
  }))
}
