import { formatAddress, network } from "./address.js";
import { Roster } from "./roster.js";
export class Connections {
    log;
    feed;
    #open = new Roster();
    #last = 0;
    #onEmpty = () => { };
    constructor(log, feed) {
        this.log = log;
        this.feed = feed;
    }
    /**
     * Counts and publishes a new connection.
     * @param owner ends it at once: destroyed for a limit, and when a drain has run out of time.
     * @param id the number to keep, for a connection that was upgraded.
     */
    open(endpoint, peer, owner, id = ++this.#last) {
        const connection = new Connection(this, endpoint, peer, owner, id);
        this.#open.add(connection);
        return connection;
    }
    /** To be called by a connection that has ended. */
    forget(connection) {
        this.#open.delete(connection);
        if (this.#open.size === 0)
            this.#onEmpty();
    }
    /** Counts what a limit or a guard turned away; logs it at most once a second an endpoint. */
    refuse(endpoint, reason, peer) {
        endpoint.refused++;
        endpoint.refusals.add(reason);
        if (this.feed.isWatched)
            this.feed.publish(event('refuse', endpoint, 0, peer, undefined, reason));
        this.log.trouble('warn', endpoint, { peer, reason }, 'refused');
    }
    /** Counts what the system refused to a service's own socket: to accept, to send. Logs it at most once a second an endpoint. */
    failed(endpoint, err, message) {
        endpoint.errors.add(err.code ?? err.name);
        this.log.trouble('error', endpoint, { err }, message);
    }
    /** Resolves once no connection is open: its line is logged then, too. */
    async drained() {
        if (this.#open.size > 0)
            await new Promise((resolve) => { this.#onEmpty = resolve; });
    }
    destroyAll() {
        for (const connection of this.#open)
            connection.destroy('drain deadline');
    }
}
export class Connection {
    rosterIndex = -1;
    id;
    peer;
    /** What the limits count as its address. */
    network;
    endpoint;
    #all;
    #owner;
    #openedAt = performance.now();
    #bytesIn = 0;
    #bytesOut = 0;
    #reason;
    #log;
    #isClosed = false;
    constructor(all, endpoint, peer, owner, id) {
        this.#all = all;
        this.endpoint = endpoint;
        this.peer = formatAddress(peer.address, peer.port);
        this.network = network(peer.address);
        this.id = id;
        this.#owner = owner;
        endpoint.open++;
        endpoint.total++;
        this.#publish('connect');
    }
    get #bindings() {
        return { service: this.endpoint.name, connection: this.id, peer: this.peer };
    }
    /** Made on first use: most connections log one line in their life, and that without it. */
    get log() {
        this.#log ??= this.#all.log.logger.child(this.#bindings);
        return this.#log;
    }
    get ageMs() {
        return performance.now() - this.#openedAt;
    }
    get bytesIn() {
        return this.#bytesIn;
    }
    get bytesOut() {
        return this.#bytesOut;
    }
    received(bytes) {
        this.#bytesIn += bytes;
        this.endpoint.bytesIn += bytes;
        this.#publish('receive', bytes);
    }
    sent(bytes) {
        this.#bytesOut += bytes;
        this.endpoint.bytesOut += bytes;
        this.#publish('send', bytes);
    }
    halfClosed() {
        this.#publish('half-close');
    }
    /** Whether a reason for its end is known. */
    get isEnding() {
        return this.#reason !== undefined;
    }
    /** Notes why the connection is ending; the first reason stands. */
    because(reason) {
        this.#reason ??= reason;
    }
    destroy(reason) {
        this.because(reason);
        this.#owner.destroy();
    }
    /** The client crossed a limit: counts it, and notes it as the reason for the end that follows. */
    crossed(limit, how) {
        this.endpoint.crossings.add(limit);
        this.because(how === undefined ? limit : `${how}: ${limit}`);
    }
    /** As `crossed`; and ends the connection at once. */
    destroyFor(limit, how) {
        this.crossed(limit, how);
        this.#owner.destroy();
    }
    /** The connection broke, or its client broke the protocol: counts the error, and notes it as the reason for the end that follows. */
    failed(error) {
        this.endpoint.errors.add(error.code ?? error.name);
        this.because(reasonOf(error));
    }
    /** The end of the connection: logs its one line. A second call does nothing. */
    closed(reason) {
        if (this.#isClosed)
            return;
        this.#isClosed = true;
        this.because(reason);
        this.#all.forget(this);
        this.endpoint.open--;
        this.#publish('close', undefined, this.#reason);
        this.#all.log.line(() => this.#all.log.logger, this.network, () => ({
            ...this.#bindings,
            bytesIn: this.#bytesIn,
            bytesOut: this.#bytesOut,
            durationMs: Math.round(this.ageMs),
            reason: this.#reason
        }), 'connection closed');
    }
    #publish(type, bytes, reason) {
        if (this.#all.feed.isWatched)
            this.#all.feed.publish(event(type, this.endpoint, this.id, this.peer, bytes, reason));
    }
}
const REASONS = {
    ECONNRESET: 'reset by client',
    EPIPE: 'reset by client',
    ETIMEDOUT: 'client unreachable'
};
/** Why a connection ended, in words, from the error that its socket gave. */
export function reasonOf(error) {
    return REASONS[error.code ?? ''] ?? error.code ?? error.message;
}
/** One event of the feed, of the same shape on every protocol. */
export function event(type, endpoint, connection, peer, bytes, reason) {
    return {
        at: Date.now(),
        type,
        transport: endpoint.transport,
        service: endpoint.name,
        connection,
        peer,
        ...(bytes !== undefined && { bytes }),
        ...(reason !== undefined && { reason })
    };
}
