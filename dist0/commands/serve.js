/** `oneloop serve`: the server. */
import { Command } from 'commander';
import { loadConfig } from "../config.js";
import { settingsTable } from "../settings-table.js";
import { flag, settings } from "../settings.js";
import { UsageError } from "./input.js";
import { startTable } from "../start-table.js";
export function serveCommand() {
    const command = new Command('serve')
        .description('serve every service; this is what oneloop does without a command')
        .addHelpText('after', `\nEvery setting comes from the environment, or from a flag, which wins:\n\n${settingsTable()}`);
    for (const name of Object.keys(settings))
        command.option(`${flag(name)} <value>`);
    // The table says it all: once is enough.
    command.configureHelp({ visibleOptions: () => [] });
    return command.allowExcessArguments().action(async (options) => {
        // Serving is the default command, so a mistyped command ends up here.
        if (command.args[0] !== undefined)
            throw new UsageError(`there is no command '${command.args[0]}'. See: oneloop --help`);
        const flags = Object.fromEntries(Object.keys(settings).map((name) => [name, options[camel(name)]]));
        const config = loadConfig(process.env, flags);
        // Only here: the clients start twice as fast without the server's modules.
        const [{ createLogger }, { serve }] = await Promise.all([import("../logger.js"), import("../server.js")]);
        const isTerminal = process.stdout.isTTY === true;
        const logger = createLogger(config.logLevel, isTerminal);
        const app = await serve(config, logger);
        if (isTerminal) {
            console.log(startTable(app.endpoints));
            return;
        }
        for (const { name, transport, address, port, state, path } of app.endpoints) {
            if (state === 'open')
                logger.info({ service: name, transport, address, port, path }, 'listening');
        }
    });
}
/** `DRAIN_MS` → `drainMs`, as commander names the flag's value. */
function camel(name) {
    return name.toLowerCase().replace(/_(\w)/g, (_match, letter) => letter.toUpperCase());
}
