import { counts, facts } from "../facts.js";
import { defineWebSocketService } from "../service.js";
import { VERSION } from "../version.js";
import { isTurnedAway } from "./viewers.js";
const COUNTS_EVERY = 5;
export const WS_LOOP = {
    name: 'ws-loop',
    transport: 'websocket',
    path: '/ws/loop',
    isForOwnPage: true,
    summary: 'Sends the loop\'s delay, the round trips and the counters, ten times a second.',
    example: { answer: /^\{"type":"hello"/ }
};
export function wsLoop(loop, endpoints) {
    const viewers = new Set();
    let pings = [];
    let ticks = 0;
    let unwatch = () => { };
    /** One text for all. A viewer who is behind misses it, and nobody waits for anybody. */
    function tell(message) {
        const text = JSON.stringify(message);
        for (const viewer of viewers)
            if (!viewer.isBehind)
                viewer.send(text);
    }
    function watch() {
        return loop.watch({
            onPing: (ping) => { pings.push(ping); },
            onSample(sample) {
                const isCounted = ticks++ % COUNTS_EVERY === 0;
                tell({ type: 'loop', at: Date.now(), sample, pings, ...(isCounted && { services: counts(endpoints), process: facts(endpoints), lesson: loop.lesson() }) });
                pings = [];
            },
            onLessonStarted: (lesson) => tell({ type: 'lesson-started', lesson }),
            onLessonEnded: (lesson) => tell({ type: 'lesson-ended', lesson })
        });
    }
    return defineWebSocketService({
        ...WS_LOOP,
        onConnection(client) {
            if (isTurnedAway(client, viewers))
                return;
            client.send(JSON.stringify(hello(loop, endpoints)));
            if (viewers.size === 0)
                unwatch = watch();
            viewers.add(client);
            return {
                close() {
                    viewers.delete(client);
                    if (viewers.size > 0)
                        return;
                    unwatch();
                    pings = [];
                }
            };
        }
    });
}
function hello(loop, endpoints) {
    return {
        type: 'hello',
        at: Date.now(),
        pid: process.pid,
        node: process.version,
        version: VERSION,
        lanes: loop.lanes().map(({ transport }) => transport),
        services: counts(endpoints),
        process: facts(endpoints)
    };
}
