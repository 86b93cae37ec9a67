/** What a terminal shows at the start: where the page is, and a line to try each service. */
import { formatAddress, reachable } from "./address.js";
import { pasteLine } from "./paste-line.js";
import { table } from "./table.js";
export function startTable(endpoints) {
    const http = endpoints.find(({ transport }) => transport === 'http');
    const page = http?.state === 'open'
        ? `oneloop is running. The page: http://${formatAddress(reachable(http.address), http.port ?? 0)}/`
        : `oneloop is running, without its page: ${http?.state === 'busy' ? `port ${http.port} is in use by another program. Choose another with HTTP_PORT` : 'HTTP_PORT is off'}`;
    const rows = endpoints.filter(({ state }) => state !== 'off').map((endpoint) => {
        const { name, transport, address, port, path = '' } = endpoint;
        return endpoint.state === 'busy'
            ? [name, transport, String(port), `skipped: in use by another program; choose another with ${endpoint.origin.variable}`]
            : [name, transport, `${formatAddress(address, port ?? 0)}${path}`, pasteLine(endpoint, reachable(address))];
    });
    const bound = endpoints[0]?.address ?? '';
    const reach = bound.startsWith('127.') || bound === '::1'
        ? 'Only this machine reaches it. For clients that connect to socket.gethostname(), 127.0.0.4 or from elsewhere: HOST=0.0.0.0 npm start'
        : `It listens on ${bound}: other machines reach it too.`;
    return `\n${page}\n\n${table(['service', 'protocol', 'address', 'try it'], rows)}\n\n${reach}\nStop it with Ctrl-C.\n`;
}
