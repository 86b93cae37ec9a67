/** How the settings are read: from the environment and from flags into one Config, or into one error that names all that is wrong. */
import { portVariable, settings } from "./settings.js";
import { rawServices } from "./sockets/index.js";
import { parseOrigins, parsePorts, validate } from "./validation.js";
/** Names every problem of the settings at once, a line each. */
export class ConfigError extends Error {
    code = 'ERR_CONFIG';
    problems;
    constructor(problems) {
        super(`the settings are not right:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
        this.name = 'ConfigError';
        this.problems = problems;
    }
}
/**
 * Reads the settings. A flag (by its variable's name) wins over the environment; an empty variable counts as not set.
 * Throws a ConfigError.
 */
export function loadConfig(env = {}, flags = {}) {
    const given = {};
    for (const name of Object.keys(settings)) {
        const value = flags[name] ?? (env[name] === '' ? undefined : env[name]);
        if (value !== undefined)
            given[name] = value;
    }
    const isGiven = new Set(Object.keys(given));
    if (given.PROFILE === 'bench') {
        for (const [name, { bench }] of Object.entries(settings))
            if (bench !== undefined)
                given[name] ??= String(bench);
    }
    const portSettings = readPorts(given, isGiven);
    const { values, problems } = validate(given, (name) => flags[name] !== undefined);
    problems.push(...findClashes(portSettings));
    if (problems.length > 0)
        throw new ConfigError(problems);
    return {
        host: values.HOST,
        logLevel: values.LOG_LEVEL,
        lab: values.LAB === 'on',
        origins: parseOrigins(values.ORIGINS) ?? [],
        isBench: values.PROFILE === 'bench',
        given: isGiven,
        drainMs: values.DRAIN_MS,
        ports: portSettings,
        http: {
            maxConnections: values.HTTP_MAX_CONNECTIONS,
            maxPerAddress: values.HTTP_MAX_PER_ADDRESS,
            maxRequests: values.HTTP_MAX_REQUESTS,
            maxPipelined: values.HTTP_MAX_PIPELINED,
            rate: { perSecond: values.HTTP_RATE, burst: values.HTTP_BURST },
            maxBodyBytes: values.HTTP_MAX_BODY_BYTES,
            maxHeaderBytes: values.HTTP_MAX_HEADER_BYTES,
            maxHeaders: values.HTTP_MAX_HEADERS,
            headersMs: values.HTTP_HEADERS_MS,
            requestMs: values.HTTP_REQUEST_MS,
            idleMs: values.HTTP_IDLE_MS,
            keepAliveMs: values.HTTP_KEEP_ALIVE_MS
        },
        websocket: {
            maxConnections: values.WS_MAX_CONNECTIONS,
            maxPerAddress: values.WS_MAX_PER_ADDRESS,
            rate: { perSecond: values.WS_RATE, burst: values.WS_BURST },
            maxMessageBytes: values.WS_MAX_MESSAGE_BYTES,
            maxFragments: values.WS_MAX_FRAGMENTS,
            maxPongs: values.WS_MAX_PONGS,
            pauseBytes: values.WS_PAUSE_BYTES,
            maxUnsentBytes: values.WS_MAX_UNSENT_BYTES,
            pingMs: values.WS_PING_MS,
            closeMs: values.WS_CLOSE_MS
        },
        tcp: {
            maxConnections: values.TCP_MAX_CONNECTIONS,
            maxPerAddress: values.TCP_MAX_PER_ADDRESS,
            idleMs: values.TCP_IDLE_MS,
            lifeMs: values.TCP_LIFE_MS,
            maxBytes: values.TCP_MAX_BYTES,
            finMs: values.TCP_FIN_MS
        },
        udp: { maxBytes: values.UDP_MAX_BYTES, rate: { perSecond: values.UDP_RATE, burst: values.UDP_BURST }, totalRate: values.UDP_TOTAL_RATE },
        maxAddresses: values.MAX_ADDRESSES,
        logRate: { perSecond: values.LOG_RATE, burst: values.LOG_BURST },
        shed: { delayMs: values.SHED_DELAY_MS, memoryBytes: values.SHED_MEMORY_BYTES }
    };
}
/** Ports that do not read count as none here: `validate` tells of them. */
function readPorts(given, isGiven) {
    return Object.fromEntries(['http', ...rawServices.map((service) => service.name)].map((name) => {
        const variable = portVariable(name);
        const text = given[variable] ?? String(settings[variable]?.default);
        return [name, { variable, ports: parsePorts(text) ?? [], isSet: isGiven.has(variable) }];
    }));
}
/** Two services, or one twice, on one port of one transport. HTTP is TCP here. */
function findClashes(all) {
    const clashes = [];
    const owners = new Map();
    for (const [name, setting] of Object.entries(all)) {
        const transport = rawServices.find((service) => service.name === name)?.transport ?? 'tcp';
        for (const port of setting.ports) {
            if (port === 0)
                continue;
            const key = `${transport} ${port}`;
            const owner = owners.get(key);
            const say = ({ variable, isSet }) => `${variable}${isSet ? '' : ' (default)'}`;
            if (owner)
                clashes.push(`${say(owner)} and ${say(setting)} both ask for ${transport} port ${port}: give one of them another port, or off`);
            else
                owners.set(key, setting);
        }
    }
    return clashes;
}
