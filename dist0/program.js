/** Every command, and what an error of each kind becomes: one line and an exit code. */
import { Command, CommanderError } from 'commander';
import { ClientError } from "./clients/client-error.js";
import { checkCommand } from "./commands/check.js";
import { UsageError } from "./commands/input.js";
import { serveCommand } from "./commands/serve.js";
import { sinkCommand } from "./commands/sink.js";
import { tcpCommands } from "./commands/tcp.js";
import { udpCommand } from "./commands/udp.js";
import { wsCommand } from "./commands/ws.js";
import { ConfigError } from "./config.js";
import { StartError } from "./start-error.js";
import { VERSION } from "./version.js";
/** @param args as Node.js has them: itself, the program, and then what somebody wrote. */
export async function run(args) {
    const program = new Command('oneloop')
        .description('HTTP, WebSocket, raw TCP and raw UDP from one process and one event loop, and a client for each.')
        .version(VERSION)
        .addHelpText('after', '\nExit codes: 0 done, 1 failed, 2 wrong usage or settings.')
        .addCommand(serveCommand(), { isDefault: true });
    for (const command of [...tcpCommands(), sinkCommand(), udpCommand(), wsCommand(), checkCommand()])
        program.addCommand(command);
    for (const command of [program, ...program.commands])
        command.exitOverride();
    // Somebody downstream, such as head(1), has read enough.
    process.stdout.on('error', (error) => {
        if (error.code !== 'EPIPE')
            throw error;
        process.exit();
    });
    try {
        await program.parseAsync(args);
    }
    catch (error) {
        // Commander has told its own errors, and shown the help that was asked for.
        if (error instanceof CommanderError)
            process.exitCode = error.exitCode === 0 ? 0 : 2;
        else if (error instanceof ConfigError || error instanceof UsageError)
            fail(error, 2);
        else if (error instanceof ClientError || error instanceof StartError)
            fail(error, 1);
        else
            throw error;
    }
}
function fail(error, exitCode) {
    console.error(`oneloop: ${error.message}`);
    process.exitCode = exitCode;
}
