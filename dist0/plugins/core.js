/** What every runner shares: the settings, the endpoints, the open connections, the feed, and the drain's deadline. */
import fastifyPlugin from 'fastify-plugin';
import { Connections } from "../connections.js";
import { Feed } from "../feed.js";
import { Rates } from "../rates.js";
import { SampledLog } from "../sampled-log.js";
/** Of DRAIN_MS, the end: for closing what was cut off, and for writing the last of the log, on a busy machine too. */
const reserveMs = (drainMs) => Math.max(400, drainMs / 5);
export const core = fastifyPlugin(async function core(app, { config }) {
    const feed = new Feed((err) => app.log.error({ err }, 'a listener of the feed failed'));
    const connections = new Connections(new SampledLog(app.log, new Rates(config.logRate, config.maxAddresses)), feed);
    const endpoints = [];
    let deadline;
    app.decorate('config', config);
    app.decorate('feed', feed);
    app.decorate('connections', connections);
    app.decorate('endpoints', endpoints);
    app.decorate('isReady', () => endpoints.every(({ state }) => state === 'open' || state === 'off' || state === 'busy'));
    // Registered first, so that the app is unready before any runner begins to close.
    app.addHook('preClose', async () => {
        for (const endpoint of endpoints)
            if (endpoint.state === 'open')
                endpoint.state = 'draining';
        deadline = setTimeout(() => connections.destroyAll(), config.drainMs - reserveMs(config.drainMs));
    });
    // Fastify runs onClose hooks last registered first: every runner has closed by now.
    app.addHook('onClose', async () => {
        // A server is closed a moment before its last socket says so.
        await connections.drained();
        clearTimeout(deadline);
        for (const endpoint of endpoints)
            if (endpoint.state === 'draining')
                endpoint.state = 'closed';
    });
});
