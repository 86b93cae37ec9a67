import { Socket } from 'node:net';
import { endIfSilent } from "./net-server.js";
/** The session of the HTTP client on a socket; undefined where there is none, as with `inject`, or none any more. */
export const sessionOf = (socket) => socket.session;
export class HttpSession {
    rosterIndex = -1;
    connection;
    reader;
    /** Requests without their answers, all requests, and the last one. */
    requests = 0;
    total = 0;
    last;
    #socket;
    #limits;
    #bytesRead = 0;
    #bytesWritten = 0;
    /** The bytes that had been moved when the sweep saw it move, and when that was. */
    #seenBytes = 0;
    #seenAt = performance.now();
    constructor(socket, connection, reader, limits) {
        this.#socket = Object.assign(socket, { session: this, setTimeout: noTimeout });
        this.connection = connection;
        this.reader = reader;
        this.#limits = limits;
    }
    /** Counts the bytes that went over the socket since the last time. */
    count() {
        const { bytesRead, bytesWritten } = this.#socket;
        if (bytesRead > this.#bytesRead)
            this.connection.received(bytesRead - this.#bytesRead);
        if (bytesWritten > this.#bytesWritten)
            this.connection.sent(bytesWritten - this.#bytesWritten);
        this.#bytesRead = bytesRead;
        this.#bytesWritten = bytesWritten;
    }
    /** The server shuts down, and this client waits for nothing. */
    drain() {
        this.connection.because('server draining');
        this.#socket.destroySoon();
    }
    /** To be called as the socket closes, or is HTTP's no longer. */
    end(reason) {
        this.count();
        this.#socket.session = undefined;
        this.#socket.setTimeout = setTimeout;
        this.connection.closed(reason);
    }
    /** Ends the client if it has neither sent nor been sent anything for too long. */
    sweep(now) {
        const socket = this.#socket;
        const bytes = socket.bytesRead + socket.bytesWritten;
        if (bytes !== this.#seenBytes) {
            this.#seenBytes = bytes;
            this.#seenAt = now;
        }
        else if (socket.writableLength > 0) {
            // Node.js's timer knows how much of an answer the client has taken.
            if (!socket.timeout)
                setTimeout.call(socket, this.#limits.idleMs, this.#onTimeout);
        }
        else if (socket.timeout) {
            // The answer is out: silence begins now.
            setTimeout.call(socket, 0, this.#onTimeout);
            this.#seenAt = now;
        }
        else if (now - this.#seenAt >= (this.#isBetweenRequests ? this.#limits.keepAliveMs : this.#limits.idleMs)) {
            endIfSilent(socket, this.#onTimeout);
        }
    }
    get #isBetweenRequests() {
        return this.requests === 0 && this.total > 0;
    }
    #onTimeout = () => {
        this.connection.destroyFor(this.#isBetweenRequests ? 'HTTP_KEEP_ALIVE_MS' : 'HTTP_IDLE_MS', 'idle');
    };
}
const { setTimeout } = Socket.prototype;
/** Node.js sets and resets a timer with each request, a twentieth of a short answer. One look at all clients a second does as well. */
function noTimeout() { return this; }
