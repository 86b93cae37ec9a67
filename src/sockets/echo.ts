import { defineTcpService } from '../service.ts'

export default defineTcpService({
  name: 'echo',
  ports: [12345, 65432],
  summary: 'Sends every byte back until the client\'s FIN (RFC 862).',
  example: { send: 'Hello, world', answer: /^Hello, world$/ },
  onConnection: (client) => (chunk) => client.write(chunk)
})
