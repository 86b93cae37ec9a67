export class RequestLog {
    #make;
    #made;
    constructor(make) {
        this.#make = make;
    }
    get #logger() {
        this.#made ??= this.#make();
        return this.#made;
    }
    get level() { return this.#logger.level; }
    set level(level) { this.#logger.level = level; }
    trace(...line) { this.#write('trace', line); }
    debug(...line) { this.#write('debug', line); }
    info(...line) { this.#write('info', line); }
    warn(...line) { this.#write('warn', line); }
    error(...line) { this.#write('error', line); }
    fatal(...line) { this.#write('fatal', line); }
    silent(...line) { this.#write('silent', line); }
    child(bindings, options) {
        return this.#logger.child(bindings, options);
    }
    #write(level, line) {
        Reflect.apply(this.#logger[level], this.#logger, line);
    }
}
