export class Feed {
    #listeners = new Set();
    /** Events that viewers of the feed were not told of, since the start. */
    dropped = 0;
    #onError;
    /** @param onError told about a listener that threw; that listener hears no more. */
    constructor(onError) {
        this.#onError = onError;
    }
    /** False while nobody listens: callers then need not even make the event. */
    get isWatched() {
        return this.#listeners.size > 0;
    }
    /** Tells every listener now, in the order they came. Never throws. */
    publish(event) {
        for (const listener of this.#listeners) {
            try {
                listener(event);
            }
            catch (error) {
                this.#listeners.delete(listener);
                this.#onError(error);
            }
        }
    }
    /** Returns the function that ends the subscription. */
    subscribe(listener) {
        this.#listeners.add(listener);
        return () => { this.#listeners.delete(listener); };
    }
}
