/** What the process may run short of: turns of its loop, memory, file descriptors. Watches them, and says when requests must be turned away. */
import { totalmem } from 'node:os';
import { performance } from 'node:perf_hooks';
import fastifyPlugin from 'fastify-plugin';
import { formatBytes } from "../bytes.js";
import { canOpenOneMore } from "../descriptors.js";
import { residentMemory } from "../memory.js";
const BEAT_MS = 50;
/** The delay counts as lasting when most of so many beats had it: one that blocks, as the lesson does, makes one late beat. */
const BEATS = 5;
const BEATS_A_LOOK = 20;
/** Of the memory that the process may use. */
const MEMORY_SHARE = 0.85;
export const pressure = fastifyPlugin(async function pressure(app) {
    const { shed } = app.config;
    // Without a limit of its group, constrainedMemory() is larger than the machine.
    const maxRss = shed.memoryBytes || Math.floor(Math.min(process.constrainedMemory() || Infinity, totalmem()) * MEMORY_SHARE);
    const delays = Array(BEATS).fill(0);
    let lastingDelay = 0;
    let beats = 0;
    let firedAt = performance.now();
    let rss = 0;
    let elu = performance.eventLoopUtilization();
    let utilisation = 0;
    let isExhausted = false;
    let exhaustions = 0;
    function beat() {
        const now = performance.now();
        const delay = Math.max(0, now - firedAt - BEAT_MS);
        firedAt = now;
        delays[beats++ % BEATS] = delay;
        lastingDelay = delays.toSorted((a, b) => a - b)[(BEATS - 1) / 2] ?? 0;
        state.onDelay(delay);
        if (beats % BEATS_A_LOOK === 0)
            look();
    }
    function look() {
        const now = performance.eventLoopUtilization();
        utilisation = performance.eventLoopUtilization(now, elu).utilization;
        elu = now;
        rss = residentMemory() ?? rss;
        if (rss > maxRss)
            state.onMemoryShort();
        const wasExhausted = isExhausted;
        isExhausted = !canOpenOneMore();
        if (isExhausted)
            exhaustions++;
        if (isExhausted && !wasExhausted)
            app.log.error('out of file descriptors: new connections are closed until some are free. Allow more with ulimit -n');
        if (wasExhausted && !isExhausted)
            app.log.warn('there are file descriptors again');
    }
    const state = {
        shortage() {
            if (lastingDelay > shed.delayMs)
                return { limit: 'SHED_DELAY_MS', message: `the event loop is ${Math.round(lastingDelay)} ms late` };
            if (rss > maxRss)
                return { limit: 'SHED_MEMORY_BYTES', message: `the server holds ${formatBytes(rss)} of memory` };
        },
        get utilisation() { return utilisation; },
        get exhaustions() { return exhaustions; },
        onDelay(_ms) { },
        onMemoryShort() { }
    };
    app.decorate('pressure', state);
    const timer = setInterval(beat, BEAT_MS).unref();
    app.addHook('onClose', async () => { clearInterval(timer); });
});
