/**
 * Calls `each` for the members of a set, `atOnce` in each turn of the loop, so that other clients are served in between. Members
 * that have left the set by their turn are skipped. A later call for the same set does not overtake an earlier one.
 * @returns a function that tells whether all are done. It turns true only in the turn after the last members, so that new work
 * does not share a turn with them.
 */
export function inPieces<T> (all: ReadonlySet<T>, atOnce: number, each: (item: T) => void): () => boolean {
  const items = [...all]
  let at = 0
  let isDone = false
  const next = () => {
    isDone = at === items.length
    for (let done = 0; done < atOnce && at < items.length;) {
      const item = items[at++] as T
      if (!all.has(item)) continue
      each(item)
      done++
    }
    if (!isDone) setImmediate(next)
  }
  next()
  return () => isDone
}
