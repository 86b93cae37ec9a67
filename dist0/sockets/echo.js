import { defineTcpService } from "../service.js";
export default defineTcpService({
    name: 'echo',
    ports: [12345, 65432],
    summary: 'Sends every byte back until the client\'s FIN (RFC 862).',
    example: { send: 'Hello, world', answer: /^Hello, world$/ },
    onConnection: (client) => ({ borrow: (chunk) => client.write(chunk) })
});
