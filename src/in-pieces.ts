/** Does something for many, so many in each turn of the loop that everybody else is served in between. */
export function inPieces<T> (items: T[], atOnce: number, each: (item: T) => void): void {
  for (const item of items.splice(0, atOnce)) each(item)
  if (items.length > 0) setImmediate(inPieces<T>, items, atOnce, each)
}
