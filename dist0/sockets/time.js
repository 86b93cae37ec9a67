import { ctimeNow } from "../ctime.js";
import { defineTcpService } from "../service.js";
export default defineTcpService({
    name: 'time',
    ports: [9999],
    summary: 'Sends the local time as text, then closes (RFC 867).',
    example: { answer: /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}\r\n$/ },
    onConnection: (client) => client.end(`${ctimeNow()}\r\n`)
});
