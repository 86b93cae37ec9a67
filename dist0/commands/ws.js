/** `oneloop ws`: a WebSocket client, line by line on a terminal. */
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { InvalidArgumentError } from 'commander';
import { connect, converse } from "../clients/websocket.js";
import { clientCommand, hex, jsonBytes, show, targetOf } from "./input.js";
export function wsCommand() {
    return clientCommand('ws', 'talk to a WebSocket; on a terminal, line by line')
        .argument('[text]', 'one message to send; without it, each line of standard input is one')
        .option('--path <path>', 'the path of the service', '/ws/echo')
        .option('--binary', 'send binary messages instead of text')
        .option('--count <messages>', 'close after so many answers', count)
        .addHelpText('after', '\nThe address may be a ws:// URL too.')
        .action(async (address, text, options) => {
        const target = webSocketTarget(address, options.path);
        if (text === undefined && options.count === undefined && process.stdin.isTTY)
            return await interact(target, options);
        const encode = (line) => options.binary ? Buffer.from(line) : line;
        await converse(target, {
            timeoutMs: options.timeout * 1000,
            send: text !== undefined ? [encode(text)] : process.stdin.isTTY ? [] : encodedLines(encode),
            ...(options.count !== undefined && { count: options.count }),
            onMessage: ({ data, isBinary }) => process.stdout.write(options.json
                ? `${JSON.stringify({ service: 'ws', isBinary, received: jsonBytes(data) })}\n`
                : `Received ${isBinary ? 'binary ' : ''}${show(data)}\n`)
        });
        // Done, whether or not more input might come.
        process.stdin.destroy();
    });
}
/** Reads standard input once it is asked for its first line: readline loses what comes before somebody iterates. */
async function* encodedLines(encode) {
    for await (const line of createInterface({ input: process.stdin }))
        yield encode(line);
}
function count(text) {
    if (!/^[1-9]\d{0,8}$/.test(text))
        throw new InvalidArgumentError('It must be a whole number above 0.');
    return Number(text);
}
/** `ws://HOST:PORT/PATH`, or an address as every client takes it with `--path`. */
function webSocketTarget(address, path) {
    const url = /^ws:\/\/([^/]+)(\/.*)?$/.exec(address ?? '');
    return { ...targetOf(url ? url[1] : address, 'http'), path: url?.[2] ?? path };
}
/** A line typed is a message sent; Ctrl-D and Ctrl-C close with 1000. */
async function interact(target, options) {
    const terminal = createInterface({ input: process.stdin, output: process.stdout, prompt: '> ' });
    const say = (line) => {
        process.stdout.write(`\r\u001b[K${line}\n`);
        terminal.prompt();
    };
    try {
        const socket = await connect(target, { timeoutMs: options.timeout * 1000, onMessage: (message) => say(describe(message)) });
        say(`Connected to ${socket.url}. Type a line to send it; Ctrl-C closes.`);
        terminal.on('line', (line) => {
            if (socket.readyState === socket.OPEN)
                socket.send(options.binary ? Buffer.from(line) : line);
            terminal.prompt();
        });
        terminal.once('close', () => socket.close(1000));
        const [code, reason] = await once(socket, 'close');
        process.stdout.write(`\r\u001b[KClosed with ${code}${reason.length > 0 ? ` ${show(reason)}` : ''}.\n`);
    }
    finally {
        terminal.close();
    }
}
function describe({ data, isBinary }) {
    return isBinary
        ? `< binary, ${data.length} bytes: ${hex(data)}`
        : `< text, ${data.length} bytes: ${show(data)}`;
}
