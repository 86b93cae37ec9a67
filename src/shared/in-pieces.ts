/**
 * Does something for all members of a set, so many in each turn of the loop that everybody else is served in between, and not for
 * those who have left it by then. A later call for the same set overtakes none that is under way.
 * @returns tells whether it is done for all: from the turn after that of the last ones on, so that what is begun then does not add to them.
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
