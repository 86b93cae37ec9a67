import { Tally } from "./tally.js";
export class Endpoint {
    name;
    transport;
    summary;
    example;
    path;
    origin;
    address;
    /** The bound port, or, before and without a bind, the wanted one; null where the service is off. */
    port;
    state;
    /** Why it could not be bound. */
    error = null;
    /** Connections open now; always 0 for UDP. */
    open = 0;
    /** Connections, or datagrams received, since the start. */
    total = 0;
    bytesIn = 0;
    bytesOut = 0;
    /** Connections and requests turned away, and datagrams left unanswered, because of a limit or a guard. */
    refused = 0;
    /** Of UDP: datagrams that were answered. */
    answered = 0;
    /** `refused`, by the limit's name or the guard's. */
    refusals = new Tally();
    /** Limits that were crossed once inside, by name. */
    crossings = new Tally();
    /** Connections and answers that failed, by the error's code. */
    errors = new Tally();
    constructor(description, origin, address) {
        this.name = description.name;
        this.transport = description.transport;
        this.summary = description.summary;
        this.example = description.example;
        this.path = description.path;
        this.origin = origin;
        this.address = address;
        this.port = origin.port;
        this.state = origin.port === null ? 'off' : 'closed';
    }
    /** Runs `bind` and notes how it went. A failure is kept in `error`, so that a start can name all of them at once. */
    async bind(bind) {
        if (this.origin.port === null)
            return;
        try {
            this.port = await bind(this.origin.port);
            this.state = 'open';
        }
        catch (error) {
            this.error = error;
            if (this.error.code === 'EADDRINUSE')
                this.state = 'busy';
        }
    }
    /** Whether the failed bind is to stop the start: everything but a busy default port. */
    get isFatal() {
        return this.error !== null && (this.state !== 'busy' || this.origin.isSet);
    }
}
