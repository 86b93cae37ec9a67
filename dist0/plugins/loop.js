/** The loop, watched: samples it and probes it while somebody watches, and only then; and runs the lessons. */
import fastifyPlugin from 'fastify-plugin';
import { reachable } from "../address.js";
import { LessonBudget, lessons, sentence } from "../lab/lessons.js";
import { Probe } from "../lab/probe.js";
import { ProbePeers } from "../lab/probe-peers.js";
import { startSampler } from "../lab/sampler.js";
/** A viewer who is gone at once, such as a health check, needs no thread. */
const PROBE_DELAY_MS = 200;
const PROBE_RETRY_MS = 1000;
const PROBED = [
    { name: 'http', path: '/healthz' },
    { name: 'ws-echo', path: '/ws/echo' },
    { name: 'echo', path: '' },
    { name: 'udp-echo', path: '' }
];
export const loop = fastifyPlugin(async function loop(app) {
    const { config, log } = app;
    const listeners = new Set();
    const budget = new LessonBudget();
    const probePeers = new ProbePeers();
    let probe;
    let stopping = Promise.resolve();
    let isClosed = false;
    let users = 0;
    let lastLesson = 0;
    let current = null;
    let stopSampler = () => { };
    let probeTimer;
    const tell = (say) => { for (const listener of listeners)
        say(listener); };
    function lanes() {
        if (!config.lab)
            return [];
        return PROBED.flatMap(({ name, path }) => {
            const endpoint = app.endpoints.find((one) => one.name === name && one.state === 'open');
            return endpoint ? [{ transport: endpoint.transport, host: reachable(endpoint.address), port: endpoint.port ?? 0, path }] : [];
        });
    }
    function startProbe() {
        if (probe || isClosed)
            return probe;
        const targets = lanes();
        if (targets.length === 0)
            return;
        const onError = (err) => log.error({ err }, 'the probe failed');
        let started;
        try {
            started = new Probe({ lanes: targets, peers: probePeers, onPing: (ping) => tell((listener) => listener.onPing(ping)), onError });
        }
        catch (error) {
            // A machine that has no thread to give serves on.
            onError(error);
            if (users > 0)
                scheduleProbe(PROBE_RETRY_MS);
            return;
        }
        probe = started;
        started.ended.then(() => {
            if (probe !== started)
                return;
            probe = undefined;
            if (users > 0)
                scheduleProbe(PROBE_RETRY_MS);
        }).catch(() => { });
        return probe;
    }
    function scheduleProbe(delayMs) {
        if (config.lab)
            probeTimer ??= setTimeout(() => { probeTimer = undefined; startProbe(); }, delayMs);
    }
    function stopProbe() {
        clearTimeout(probeTimer);
        probeTimer = undefined;
        const last = probe;
        probe = undefined;
        if (last)
            stopping = Promise.all([stopping, last.stop()]).then(() => { });
    }
    function release() {
        if (--users === 0)
            stopProbe();
    }
    function watch(listener) {
        listeners.add(listener);
        if (listeners.size === 1)
            stopSampler = startSampler((sample) => tell((one) => one.onSample(sample)));
        if (++users === 1)
            scheduleProbe(PROBE_DELAY_MS);
        return () => {
            if (!listeners.delete(listener))
                return;
            if (listeners.size === 0)
                stopSampler();
            release();
        };
    }
    async function teach(kind, ms) {
        budget.begin(kind, ms, performance.now());
        users++;
        try {
            const prober = startProbe();
            // Without its probe a lesson still teaches; its log says what happened to that.
            await prober?.ready.catch(() => { });
            const lesson = { id: ++lastLesson, kind, ms, at: Date.now() };
            current = lesson;
            tell((listener) => listener.onLessonStarted(lesson));
            const measured = prober?.measure();
            await lessons[kind](ms);
            const endedAt = Date.now();
            const waited = await measured?.() ?? {};
            const result = { ...lesson, endedAt, waited, sentence: sentence({ kind, ms, waited }) };
            tell((listener) => listener.onLessonEnded(result));
            return result;
        }
        finally {
            current = null;
            budget.end();
            release();
        }
    }
    app.decorate('loop', { probePeers, lanes, watch, lesson: () => current, teach });
    // Registered before the runners: the probe leaves before they drain.
    app.addHook('preClose', async () => {
        isClosed = true;
        stopSampler();
        stopProbe();
        await stopping;
    });
});
