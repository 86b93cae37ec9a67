/**
 * Does something for all of a set, so many in each turn of the loop that everybody else is served in between; not for who has left it
 * by then. Who is in it at two such calls gets the first one's first.
 * @returns whether all are done.
 */
export function inPieces<T> (all: ReadonlySet<T>, atOnce: number, each: (item: T) => void): () => boolean {
  const items = [...all]
  let at = 0
  const next = () => {
    for (let done = 0; done < atOnce && at < items.length;) {
      const item = items[at++] as T
      if (!all.has(item)) continue
      each(item)
      done++
    }
    if (at < items.length) setImmediate(next)
  }
  next()
  return () => at === items.length
}
