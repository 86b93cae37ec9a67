import { reachable } from "../address.js";
import { check, listServices } from "../clients/check.js";
import { loadConfig } from "../config.js";
import { wsEcho } from "../routes/ws-echo.js";
import { WS_FEED } from "../routes/ws-feed.js";
import { WS_LOOP } from "../routes/ws-loop.js";
import { wsTime } from "../routes/ws-time.js";
import { rawServices } from "../sockets/index.js";
import { table } from "../table.js";
import { clientCommand, print, targetOf } from "./input.js";
export function checkCommand() {
    return clientCommand('check', 'ask every service; exit with 0 if all answer, else with 1')
        .addHelpText('after', '\nThe address is that of HTTP, which names the services. With HTTP_PORT=off the settings in the environment name them.')
        .action(async (address, options) => {
        const config = loadConfig(process.env);
        const timeoutMs = options.timeout * 1000;
        const isWithoutHttp = address === undefined && config.ports.http?.ports.length === 0;
        const http = isWithoutHttp ? undefined : targetOf(address, 'http');
        const listed = http ? await listServices(http, timeoutMs) : fromSettings(config);
        const results = await check(http?.host ?? reachable(config.host), listed, [wsEcho, wsTime(), WS_FEED, WS_LOOP, ...rawServices], { timeoutMs, http });
        const failed = results.some(({ result }) => result === 'failed');
        if (failed)
            process.exitCode = 1;
        if (options.json)
            return await print(`${JSON.stringify({ ok: !failed, services: results })}\n`);
        await print(`${describe(results)}\n`);
    });
}
function describe(results) {
    return table(['service', 'protocol', 'port', 'result', 'round trip'], results.map(({ name, transport, port, result, ms, message }) => [name, transport, String(port ?? '–'), result, ms === undefined ? message ?? '' : `${ms.toFixed(1)} ms`]));
}
function fromSettings(config) {
    return rawServices.flatMap(({ name, transport }) => (config.ports[name]?.ports ?? []).map((port) => ({ name, transport, port, state: 'open' })));
}
