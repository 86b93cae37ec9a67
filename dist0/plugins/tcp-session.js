import { endIfSilent } from "./net-server.js";
import { TcpReader } from "./tcp-reader.js";
/** How long a draining server waits for a silent client to answer its FIN. */
const DRAIN_SILENCE_MS = 1000;
/** Silence after which the system asks whether the client is still there. */
const KEEP_ALIVE_MS = 30_000;
export class TcpSession {
    rosterIndex = -1;
    remote;
    connection;
    /** Where it has its place. */
    gate;
    #socket;
    #runner;
    #reader;
    #receiver = NOTHING;
    isTaking = false;
    isBorrowing = false;
    #isEnding = false;
    #isKeptAlive = false;
    #finTimer;
    /** The bytes that had been moved when the sweep saw it move, and when that was. */
    #seenBytes = 0;
    #seenAt;
    constructor(socket, remote, connection, gate, runner) {
        this.remote = remote;
        this.#socket = Object.assign(socket, { session: this });
        this.connection = connection;
        this.gate = gate;
        this.#runner = runner;
        this.#reader = new TcpReader(socket, this, runner);
        this.#seenAt = performance.now();
    }
    start(service) {
        const socket = this.#socket;
        socket.on('error', onError).on('end', onFin).on('finish', onFinSent).on('close', onClosed);
        try {
            const receiver = service.onConnection(this);
            if (receiver)
                this.#receiver = typeof receiver === 'function' ? { data: receiver } : receiver;
        }
        catch (err) {
            this.#failed(err);
        }
        this.isBorrowing = this.#receiver.borrow !== undefined;
        this.isTaking = !this.#isEnding && (this.isBorrowing || this.#receiver.data !== undefined);
        this.#reader.start();
    }
    write(data) {
        const socket = this.#socket;
        // Destroyed: by its limit, a moment ago.
        if (this.#isEnding || socket.destroyed)
            return;
        socket.write(data, this.#onWritten);
        this.connection.sent(Buffer.byteLength(data));
        if (this.connection.bytesOut > this.#runner.limits.maxBytes)
            this.connection.destroyFor('TCP_MAX_BYTES', 'sent too much');
        else if (socket.writableLength > 0)
            this.#watchProgress();
    }
    end(data) {
        if (this.#isEnding)
            return;
        if (data !== undefined)
            this.write(data);
        this.#isEnding = true;
        this.isTaking = false;
        this.#socket.end();
        if (this.#socket.writableLength > 0)
            this.#watchProgress();
    }
    /** The server shuts down: the client gets what was written to it, a FIN, and a moment to answer that. */
    drain() {
        const socket = this.#socket;
        this.connection.because('server draining');
        this.end();
        const quieten = () => socket.setTimeout(DRAIN_SILENCE_MS, () => socket.destroy());
        if (socket.writableFinished)
            quieten();
        else
            socket.once('finish', quieten);
    }
    count(bytes) {
        this.connection.received(bytes);
        if (this.connection.bytesIn > this.#runner.limits.maxBytes) {
            this.connection.destroyFor('TCP_MAX_BYTES', 'received too much');
            return false;
        }
        if (this.#receiver.count && !this.#isEnding)
            this.#guard(() => this.#receiver.count?.(bytes));
        return true;
    }
    /** Ends the client if it has neither sent nor been sent anything for too long: one look at all of them costs less than a timer each. */
    sweep(now) {
        const bytes = this.connection.bytesIn + this.connection.bytesOut;
        if (bytes !== this.#seenBytes) {
            this.#seenBytes = bytes;
            this.#seenAt = now;
            return;
        }
        if (!this.#isKeptAlive) {
            // Here, and not at its start: four system calls, of which a short connection needs none.
            this.#isKeptAlive = true;
            this.#socket.setKeepAlive(true, KEEP_ALIVE_MS);
        }
        // Not one that has a timer of its own.
        if (now - this.#seenAt >= this.#runner.limits.idleMs && !this.#socket.timeout)
            this.#endIdle();
    }
    /** From now on Node.js's timer, which knows how much of a write the client has taken. */
    #watchProgress() {
        if (!this.#socket.timeout)
            this.#socket.setTimeout(this.#runner.limits.idleMs, () => this.#endIdle());
    }
    #endIdle() {
        endIfSilent(this.#socket, () => this.connection.destroyFor('TCP_IDLE_MS', 'idle'));
    }
    take(chunk) {
        const { borrow, data } = this.#receiver;
        try {
            if (borrow)
                borrow(chunk);
            else
                data?.(chunk);
        }
        catch (err) {
            this.#failed(err);
        }
    }
    #onWritten = () => this.#reader.onWritten();
    /**
     * Once the FIN is out, unread input must still be read: closing over it would send an RST, which may destroy the answer on
     * its way (RFC 9293, section 3.10.4; RFC 2525, section 2.17). Not for ever, though.
     */
    onFinSent() {
        const socket = this.#socket;
        if (socket.destroyed || socket.readableEnded)
            return;
        socket.resume();
        this.#finTimer = setTimeout(() => this.connection.destroyFor('TCP_FIN_MS', 'no FIN from client'), this.#runner.limits.finMs);
    }
    onFin() {
        this.connection.halfClosed();
        if (this.#isEnding)
            return;
        this.connection.because('closed by client');
        this.#guard(() => this.#receiver.end?.());
        if (!this.#receiver.end)
            this.end();
    }
    onClosed() {
        clearTimeout(this.#finTimer);
        this.#reader.giveBack();
        this.#runner.onClosed(this);
        this.connection.closed('closed by service');
    }
    /** A service that throws loses this one client and no other. */
    #guard(step) {
        try {
            step();
        }
        catch (err) {
            this.#failed(err);
        }
    }
    #failed(err) {
        this.connection.log.error({ err }, 'the service failed');
        this.connection.destroy('service failed');
    }
}
const NOTHING = {};
function onError(error) { this.session?.connection.failed(error); }
function onFin() { this.session?.onFin(); }
function onFinSent() { this.session?.onFinSent(); }
function onClosed() { this.session?.onClosed(); }
