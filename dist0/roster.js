/** A set whose members come and go all the time. */
/**
 * A Set that leaves nothing behind. As members of a Set come and go, V8 replaces its table, and each table that was
 * replaced keeps what was in it, and the table after it, until the whole heap is marked: so did a part of all closed connections.
 */
export class Roster {
    #members = [];
    get size() {
        return this.#members.length;
    }
    add(member) {
        if (this.has(member))
            return;
        member.rosterIndex = this.#members.push(member) - 1;
    }
    has(member) {
        return this.#members[member.rosterIndex] === member;
    }
    /** Does nothing where it is not a member. */
    delete(member) {
        if (!this.has(member))
            return;
        const last = this.#members.pop();
        if (last === member)
            return;
        this.#members[member.rosterIndex] = last;
        last.rosterIndex = member.rosterIndex;
    }
    /** The last one first: so the one at hand may be deleted. Where another one is, one that was seen may come again. */
    *[Symbol.iterator]() {
        for (let i = this.#members.length - 1; i >= 0; i--) {
            const member = this.#members[i];
            if (member)
                yield member;
        }
    }
}
