/** Counts by name; the names are this program's own or its platform's, never a stranger's. */
export class Tally extends Map {
    add(name, count = 1) {
        this.set(name, (this.get(name) ?? 0) + count);
    }
}
