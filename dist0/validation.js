/** Which texts are right for a setting, and what is said of those that are not. */
import { isIP } from 'node:net';
import { envSchema } from 'env-schema';
import { fixed, flag, MAX_ORIGINS, MAX_PORTS, settings } from "./settings.js";
const SCHEMA = { type: 'object', properties: settings };
/** Made once: it takes longer to compile the schema than to do all else. */
let validator;
function addFormats(ajv) {
    return ajv
        .addFormat('ip', (text) => isIP(text) !== 0)
        .addFormat('ports', (text) => parsePorts(text) !== null)
        .addFormat('origins', (text) => parseOrigins(text) !== null)
        .addVocabulary(['crossed', 'bench']);
}
/** @param isFlag whether a setting came from a flag: the problem says so. */
export function validate(given, isFlag) {
    // Numbers are checked here first: the validator alone would let "0x10" and "Infinity" pass.
    const isUnreadable = (name) => settings[name]?.minimum !== undefined && !/^\d{1,15}$/.test(given[name] ?? '0');
    const wrong = new Set(Object.keys(given).filter(isUnreadable));
    let values = {};
    try {
        values = envSchema({
            schema: SCHEMA,
            data: Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name))),
            env: false,
            ajv: { customOptions: (fresh) => { validator ??= addFormats(fresh); return validator; } }
        });
    }
    catch (error) {
        const { errors } = error;
        if (!errors)
            throw error;
        for (const { instancePath } of errors)
            wrong.add(instancePath.slice(1));
    }
    const problems = Object.keys(given).filter((name) => wrong.has(name)).map((name) => {
        const source = isFlag(name) ? ` (from ${flag(name)})` : '';
        return `${name}=${JSON.stringify(given[name])}${source} must be ${allowed(settings[name])}`;
    });
    return { values, problems };
}
/** `off` → [], `9999,10000` → both, anything else → null. */
export function parsePorts(text) {
    if (text === 'off')
        return [];
    if (!/^\d{1,5}(,\d{1,5})*$/.test(text))
        return null;
    const list = text.split(',').map(Number);
    return list.length <= MAX_PORTS && list.every((port) => port <= 65_535) ? list : null;
}
/** `https://lab.example,http://localhost:3000` → both, as browsers write them; anything else → null. */
export function parseOrigins(text) {
    if (text === '')
        return [];
    const origins = text.split(',');
    const isOrigin = (origin) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin;
    return origins.length <= MAX_ORIGINS && origins.every(isOrigin) ? origins : null;
}
/** What a setting may be, in words: `a whole number from 100 to 600000`. */
function allowed(setting) {
    if (setting.enum)
        return `one of ${setting.enum.join(', ')}`;
    if (setting.format === 'ip')
        return 'an IP address, such as 127.0.0.1, 0.0.0.0 or ::';
    if (setting.format === 'ports')
        return `off, 0 for a free port, or ports from 1 to 65535 (at most ${MAX_PORTS}, joined by commas)`;
    if (setting.format === 'origins')
        return `origins such as https://lab.example or http://localhost:3000 (at most ${MAX_ORIGINS}, joined by commas)`;
    return `a whole number from ${setting.minimum} to ${setting.maximum}`;
}
