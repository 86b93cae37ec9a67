/** Medians, and ratios within a round: what a neighbour does to one target of a round it does to the others too. */

/** Of the values that are there; undefined where none is. */
export function median (values: readonly (number | null | undefined)[]): number | undefined {
  const sorted = values.filter((value) => typeof value === 'number' && Number.isFinite(value)).sort((a, b) => (a as number) - (b as number)) as number[]
  const middle = sorted.length / 2
  if (sorted.length === 0) return undefined
  return sorted.length % 2 === 1 ? sorted[Math.floor(middle)] : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2
}

export interface Sample { readonly target: string, readonly round: number }

/** A target's values over the base's of the same round, for each round that has both. */
export function sameRoundRatios<S extends Sample> (samples: readonly S[], target: string, base: string, read: (sample: S) => number | null | undefined): number[] {
  return samples.filter((sample) => sample.target === target).flatMap((sample) => {
    const other = samples.find(({ target, round }) => target === base && round === sample.round)
    const [value, baseValue] = [read(sample), other && read(other)]
    return typeof value === 'number' && typeof baseValue === 'number' && baseValue > 0 ? [value / baseValue] : []
  })
}

export const sameRoundRatio = <S extends Sample>(...of: Parameters<typeof sameRoundRatios<S>>): number | undefined => median(sameRoundRatios(...of))
