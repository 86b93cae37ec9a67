import { BUFFER_BYTES } from "./read-memory.js";
/** A read of so much is a stream's: it has its time taken, and may have a buffer of its own. */
const STREAM_BYTES = 32_768;
/** What Node.js reads at once where it has no buffer of ours. */
const PLAIN_BYTES = 65_536;
export class TcpReader {
    #socket;
    #taker;
    #reading;
    /** A stream's own buffer. */
    #own;
    /** Why it is not read: it takes no more itself, or it waits for its turn. */
    #isBlocked = false;
    #isWaiting = false;
    #lastReadMs = 0;
    constructor(socket, taker, reading) {
        this.#socket = socket;
        this.#taker = taker;
        this.#reading = reading;
    }
    start() {
        if (this.#reading.readInto(this.#socket, this))
            this.#socket.resume();
        else
            this.#socket.on('data', (chunk) => this.#onData(chunk));
    }
    /** To be called when the socket is closed. */
    giveBack() {
        if (!this.#own)
            return;
        this.#reading.memory.giveBack(this.#own);
        this.#own = undefined;
    }
    nextBuffer() {
        return this.#own ?? this.#reading.memory.shared;
    }
    onRead(bytes, buffer) {
        const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0;
        const taker = this.#taker;
        if (!taker.count(bytes))
            return false;
        if (taker.isTaking) {
            const chunk = buffer.subarray(0, bytes);
            taker.take(buffer === this.#own ? chunk : Buffer.from(chunk));
        }
        if (bytes < STREAM_BYTES) {
            if (this.#socket.writableLength === 0)
                this.giveBack();
        }
        else if (taker.isBorrowing && taker.isTaking) {
            this.#own ??= this.#reading.memory.lend();
        }
        return this.#goesOn(bytes === BUFFER_BYTES, startedAt);
    }
    /** As onRead, where Node.js reads into memory of its own. */
    #onData(chunk) {
        const bytes = chunk.length;
        const startedAt = bytes >= STREAM_BYTES ? performance.now() : 0;
        if (!this.#taker.count(bytes))
            return;
        if (this.#taker.isTaking)
            this.#taker.take(chunk);
        else
            release(chunk);
        if (!this.#goesOn(bytes === PLAIN_BYTES, startedAt))
            this.#socket.pause();
    }
    /**
     * Whether the next read may come in this turn.
     * @param isFull whether there is more: it would be read at once, up to 32 times, before anybody else is served.
     */
    #goesOn(isFull, startedAt) {
        // A client that does not read is not read: its own window fills, and our memory does not.
        this.#isBlocked = this.#socket.writableLength > 0;
        if (startedAt > 0) {
            const { turn } = this.#reading;
            this.#lastReadMs = performance.now() - startedAt;
            turn.spend(this.#lastReadMs);
            if (isFull || turn.isOver) {
                this.#isWaiting = true;
                turn.wait(this);
            }
        }
        return !this.#isBlocked && !this.#isWaiting;
    }
    onTurn() {
        this.#isWaiting = false;
        if (this.#isBlocked || this.#socket.destroyed)
            return 0;
        this.#socket.resume();
        // It is spent once the bytes are read, later in this turn.
        return this.#lastReadMs;
    }
    /** To be called when something was written. */
    onWritten() {
        if (!this.#isBlocked || this.#socket.writableLength > 0)
            return;
        this.#isBlocked = false;
        if (!this.#isWaiting)
            this.#socket.resume();
    }
}
/**
 * Frees a chunk that nobody holds. Left to the garbage collector, 130 MB into sink cost 75–86 MiB of memory on
 * Node.js 24. Node.js 20 has no `transfer` yet, and collects in time: 31–38 MiB.
 */
function release({ buffer, byteLength }) {
    // A small chunk may share its memory with others.
    if (buffer.byteLength === byteLength)
        buffer.transfer?.(0);
}
