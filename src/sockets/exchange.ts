import { defineTcpService } from '../service.ts'

/**
 * The message is whatever the first read brings. A client that writes a byte at a time gets an answer to
 * one byte: TCP has no message boundaries, and waiting for one would hang a tutorial's client.
 */
export default defineTcpService({
  name: 'exchange',
  ports: [12121],
  summary: 'Greets, takes one message, answers it, then closes.',
  example: { isGreeted: true, send: 'Hello, world', answer: /^Welcome to the exchange: send one message\r\nReceived: Hello, world\r\n$/ },
  onConnection: (client) => {
    client.write('Welcome to the exchange: send one message\r\n')
    // One write: a tutorial's client takes the answer with a single recv().
    return (message) => client.end(Buffer.concat([Buffer.from('Received: '), message, Buffer.from('\r\n')]))
  }
})
