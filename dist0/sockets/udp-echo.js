import { defineUdpService } from "../service.js";
export default defineUdpService({
    name: 'udp-echo',
    ports: [12347],
    summary: 'Sends the datagram back (RFC 862).',
    example: { send: 'Hello, world', answer: /^Hello, world$/ },
    onMessage: (message) => message
});
