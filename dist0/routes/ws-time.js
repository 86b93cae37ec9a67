import { ctimeNow } from "../ctime.js";
import { defineWebSocketService } from "../service.js";
const TICK_MS = 1000;
/** Made once an app: one timer for all its clients, and none while nobody is connected. */
export function wsTime() {
    const clients = new Set();
    let timer;
    function tick() {
        const text = ctimeNow();
        for (const client of clients)
            if (!client.isBehind)
                client.send(text);
    }
    return defineWebSocketService({
        name: 'ws-time',
        path: '/ws/time',
        summary: 'Sends the local time at once, then once a second.',
        example: { answer: /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}$/ },
        onConnection(client) {
            client.send(ctimeNow());
            clients.add(client);
            timer ??= setInterval(tick, TICK_MS);
            return {
                close() {
                    clients.delete(client);
                    if (clients.size > 0)
                        return;
                    clearInterval(timer);
                    timer = undefined;
                }
            };
        }
    });
}
