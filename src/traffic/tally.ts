/** Counts by name; the names are this program's own or its platform's, never a stranger's. */
export class Tally extends Map<string, number> {
  add (name: string, count = 1): void {
    this.set(name, (this.get(name) ?? 0) + count)
  }
}
