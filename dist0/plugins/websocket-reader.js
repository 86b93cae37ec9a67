import { LargeFrames } from "./large-frames.js";
import { SliceReader } from "./slice-reader.js";
const FIRST_SLICE_BYTES = 4096;
/** Of a client, bytes that wait for their turn; with more it is not read. */
const MAX_HELD_BYTES = 16_384;
/** Answers that wait for the others of their slice. */
const MAX_BATCH_BYTES = 65_536;
export class WebSocketReader extends SliceReader {
    /** Whether the service is done with a message when it returns, but for what it has sent to this client. */
    isBorrowing = false;
    large;
    #socket;
    #isStopped = false;
    constructor(socket, raw, { turn, memory, frames, maxMessageBytes }) {
        super(raw, turn, memory, FIRST_SLICE_BYTES);
        this.#socket = socket;
        this.large = new LargeFrames(frames, maxMessageBytes);
    }
    /** @param early what came before it was a WebSocket. */
    start(readInto, early) {
        const { raw } = this;
        const unread = raw.read();
        if (!readInto(raw, this)) {
            for (const chunk of [unread, early])
                if (chunk)
                    raw.unshift(chunk);
            raw.prependListener('data', () => this.#onPlainData());
            return;
        }
        for (const chunk of [early, unread])
            if (chunk && chunk.length > 0)
                this.keep(chunk);
        this.arrange();
        // It may have been stopped as it was left behind by HTTP.
        if (!this.#socket.isPaused)
            raw.resume();
    }
    /** Whether something has come that will be handed on soon. */
    get isHolding() {
        return this.heldBytes > 0 && !this.#isStopped;
    }
    get isStopped() {
        return this.#isStopped;
    }
    /** Nothing more is handed on, and what came is kept unread, until `go`. */
    stop() {
        this.#isStopped = true;
        this.arrange();
    }
    go() {
        this.#isStopped = false;
        this.arrange();
    }
    /** To be called with each answer: those to a slice go out with one system call, unless they are large. */
    flushLarge() {
        if (this.raw.writableLength >= MAX_BATCH_BYTES)
            this.#flush();
    }
    /** Ends the connection at once. What was answered is on its way then. */
    destroy() {
        this.#flush();
        this.#socket.terminate();
    }
    #flush() {
        if (this.raw.writableCorked === 0)
            return;
        this.raw.uncork();
        this.raw.cork();
    }
    get isTaking() {
        return !this.#isStopped;
    }
    keep(chunk) {
        this.large.sort(chunk, this);
    }
    pieceBytes(chunk, most) {
        return this.large.isNext(chunk) ? chunk.length : super.pieceBytes(chunk, most);
    }
    beginSlice() {
        this.raw.cork();
    }
    /** To ws, as long as it listens: not after a close frame, nor after a broken one. */
    take(piece) {
        this.raw.emit('data', piece);
        this.large.onTaken(piece);
    }
    endSlice() {
        this.raw.uncork();
        // What is not sent yet is still read from it.
        this.large.giveBackTold(this.isBorrowing && this.raw.writableLength === 0);
    }
    arrange() {
        super.arrange();
        // By way of ws, which would else read on when it likes; and it does, after a close frame and after an error.
        if (this.#isStopped || this.heldBytes >= MAX_HELD_BYTES) {
            if (!this.#socket.isPaused || !this.raw.isPaused())
                this.#socket.pause();
        }
        else if (this.#socket.isPaused) {
            this.#socket.resume();
            // ws waits for its receiver to take more, which one that has failed never does.
            this.raw.resume();
        }
    }
    #onPlainData() {
        this.now = performance.now();
        this.raw.cork();
        process.nextTick(() => this.raw.uncork());
    }
}
