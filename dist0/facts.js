/** What the page shows of the process and of its services, now. */
import { getHeapStatistics } from 'node:v8';
import { residentMemory } from "./memory.js";
/** Of every endpoint, what changes. */
export function counts(endpoints) {
    return endpoints.map(({ name, port, state, open, total, bytesIn, bytesOut, refused }) => ({ name, port, state, open, total, bytesIn, bytesOut, refused }));
}
const MEMORY_MS = 100;
let rss = 0;
let readAt = -Infinity;
/** Read so often at most: it cost a quarter of the page. */
function recentMemory() {
    const now = performance.now();
    if (now - readAt >= MEMORY_MS) {
        rss = residentMemory() ?? rss;
        readAt = now;
    }
    return rss;
}
export function facts(endpoints) {
    return {
        uptimeS: Math.floor(process.uptime()),
        rss: recentMemory(),
        // Not memoryUsage(): it reads the resident memory, too.
        heapUsed: getHeapStatistics().used_heap_size,
        // A WebSocket service has no socket of its own: it listens on HTTP's.
        listening: endpoints.filter(({ transport, state }) => transport !== 'websocket' && state === 'open').length,
        connected: endpoints.reduce((sum, { open }) => sum + open, 0)
    };
}
