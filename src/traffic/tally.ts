/** Counts by name. The names come from this program or its platform, never from a client. */
export class Tally extends Map<string, number> {
  add (name: string, count = 1): void {
    this.set(name, (this.get(name) ?? 0) + count)
  }
}
