const TROUBLE_MS = 1000;
export class SampledLog {
    logger;
    #rates;
    #troubles = new Map();
    #untold = 0;
    /** Lines that were left out, since the start. */
    unlogged = 0;
    /** @param rates how many lines about one address are written. */
    constructor(logger, rates) {
        this.logger = logger;
        this.#rates = rates;
    }
    /**
     * Writes one line about an address, unless it has had its share: then the next line tells how many were left out.
     * @param fields as a function where they cost something: few lines of a busy address are written.
     */
    line(logger, network, fields, message) {
        if (!this.#rates.take(network)) {
            this.#untold++;
            this.unlogged++;
            return;
        }
        const told = typeof fields === 'function' ? fields() : fields;
        logger().info(this.#untold > 0 ? { ...told, unlogged: this.#untold } : told, message);
        this.#untold = 0;
    }
    /** Writes one line about an endpoint at most once a second, with how many there would have been. */
    trouble(level, endpoint, fields, message) {
        const key = `${endpoint.name} ${endpoint.port} ${level}`;
        const seen = this.#troubles.get(key) ?? { loggedAt: -Infinity, untold: 0 };
        this.#troubles.set(key, seen);
        seen.untold++;
        const now = performance.now();
        if (now - seen.loggedAt < TROUBLE_MS)
            return;
        this.logger[level]({ service: endpoint.name, ...fields, count: seen.untold }, message);
        seen.loggedAt = now;
        seen.untold = 0;
    }
}
