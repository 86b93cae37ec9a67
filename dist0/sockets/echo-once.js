import { defineTcpService } from "../service.js";
const MAX_BYTES = 16;
export default defineTcpService({
    name: 'echo-once',
    ports: [8080],
    summary: 'Sends the first bytes back, 16 at most, then closes.',
    example: { send: 'Hello, world', answer: /^Hello, world$/ },
    onConnection: (client) => (chunk) => client.end(chunk.subarray(0, MAX_BYTES))
});
