/** The main loop's end of the probe: starts its thread, hears its round trips, stops it. */
import { extname } from 'node:path';
import { Worker } from 'node:worker_threads';
/** How long a thread may take to end by itself. */
const STOP_MS = 500;
export class Probe {
    /** Resolves once every lane was tried; rejects where the thread ended before. */
    ready;
    ended;
    /** Resolves with the thread's first message: it has read its modules then. */
    #loaded;
    #worker;
    #onMeasured = (_waited) => { };
    /** Throws where no thread can be had. */
    constructor({ lanes, onPing, peers, onError }) {
        this.#worker = new Worker(new URL(`./probe-worker${extname(import.meta.url)}`, import.meta.url), {
            workerData: lanes,
            name: 'oneloop probe'
        });
        this.#worker.on('error', onError);
        this.ended = new Promise((resolve) => { this.#worker.once('exit', resolve); });
        this.#worker.once('exit', () => peers.removeAll(this));
        this.#loaded = new Promise((resolve) => { this.#worker.once('message', resolve); });
        this.ready = new Promise((resolve, reject) => {
            this.#worker.once('exit', () => reject(new Error('the probe ended')));
            this.#worker.on('message', (message) => {
                switch (message.type) {
                    case 'ready': return resolve(undefined);
                    case 'ping': return onPing(message.ping);
                    case 'connecting': return peers.connecting(this, message.isConnecting);
                    case 'peer': return message.isOpen ? peers.add(this, message.peer) : peers.remove(this, message.peer);
                    case 'measured': return this.#onMeasured(message.waited);
                }
            });
        });
        this.ready.catch(() => { });
    }
    /** From now on the slowest round trip of each lane counts; the function that is returned tells of it, once all that began are over. */
    measure() {
        this.#post('measure');
        return async () => {
            this.#post('measured');
            const waited = new Promise((resolve) => { this.#onMeasured = resolve; });
            return await Promise.race([waited, this.ended.then(() => ({}))]);
        };
    }
    /** Resolves once the thread is gone. */
    async stop() {
        this.#post('stop');
        // On Node.js 20 a thread that is terminated while it reads its modules leaves their files open for ever.
        await Promise.race([this.#loaded, this.ended]);
        const timer = setTimeout(() => { this.#worker.terminate().catch(() => { }); }, STOP_MS);
        await this.ended;
        clearTimeout(timer);
    }
    #post(message) {
        this.#worker.postMessage(message);
    }
}
