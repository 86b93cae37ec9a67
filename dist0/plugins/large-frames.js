/** The large messages of one WebSocket client: put together, so that ws need not do it, in memory that is used again. */
import { FrameBorders } from "./frame-borders.js";
export class LargeFrames {
    #memory;
    #borders;
    /** One that is coming, and how much of it is there. */
    #coming;
    #comingBytes = 0;
    /** Those that are whole and wait to be taken, in their order. */
    #waiting = [];
    /** Those of the slice at hand that ws has told as a message: it has no part of them any more. */
    #told = [];
    #lastTold;
    /** @param maxMessageBytes a larger message is not waited for. */
    constructor(memory, maxMessageBytes) {
        this.#memory = memory;
        this.#borders = new FrameBorders(maxMessageBytes);
    }
    /** Copies what was read: gives the holder the large frames whole, once they are, and the rest as it came. */
    sort(chunk, holder) {
        let at = 0;
        while (at < chunk.length) {
            if (this.#coming) {
                at += this.#fill(this.#coming, chunk, at, holder);
                continue;
            }
            const end = this.#borders.walk(chunk, at);
            if (end > at)
                holder.hold(Buffer.from(chunk.subarray(at, end)));
            at = end;
            if (at === chunk.length)
                return;
            this.#coming = this.#memory.begin(this.#borders.largeBytes);
            this.#comingBytes = 0;
            if (!this.#coming)
                this.#borders.pass();
        }
    }
    #fill(frame, chunk, at, holder) {
        const bytes = chunk.copy(frame, this.#comingBytes, at);
        this.#comingBytes += bytes;
        if (this.#comingBytes === frame.length) {
            this.#coming = undefined;
            this.#memory.finish(frame);
            this.#waiting.push(frame);
            holder.hold(frame);
        }
        return bytes;
    }
    /** Whether this is the large frame that is to be taken next. */
    isNext(piece) {
        return piece === this.#waiting[0];
    }
    /** To be called with each message that ws tells. */
    onTold(message) {
        this.#lastTold = message.buffer;
    }
    /** To be called when ws has been handed a piece. */
    onTaken(piece) {
        if (this.isNext(piece)) {
            this.#waiting.shift();
            if (this.#lastTold === piece.buffer)
                this.#told.push(piece);
        }
        this.#lastTold = undefined;
    }
    /**
     * To be called after each slice.
     * @param isFree whether nobody reads what ws has told any more.
     */
    giveBackTold(isFree) {
        if (this.#told.length === 0)
            return;
        if (isFree)
            for (const frame of this.#told)
                this.#memory.giveBack(frame);
        this.#told.length = 0;
    }
    /** To be called when nothing more will come. */
    end() {
        if (!this.#coming)
            return;
        this.#memory.finish(this.#coming);
        this.#memory.giveBack(this.#coming);
        this.#coming = undefined;
    }
}
