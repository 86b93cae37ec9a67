import { defineTcpService } from '../service.ts'

export default defineTcpService({
  name: 'sink',
  ports: [12346],
  summary: 'Reads everything; after the client\'s FIN says how many bytes came.',
  example: { send: 'Hello, world', answer: /^All Data Received: 12 bytes\r\n$/ },
  onConnection: (client) => {
    let bytes = 0
    return {
      data (chunk) { bytes += chunk.length },
      end () { client.end(`All Data Received: ${bytes} bytes\r\n`) }
    }
  }
})
