import { defineTcpService } from "../service.js";
export default defineTcpService({
    name: 'greeting',
    ports: [50675],
    summary: 'Sends a greeting, then closes.',
    example: { answer: /^Thank you for connecting with the socket$/ },
    onConnection: (client) => client.end('Thank you for connecting with the socket')
});
