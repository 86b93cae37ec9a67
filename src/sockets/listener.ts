import { defineUdpService } from '../service.ts'

/** Bytes of a datagram in the log: together with the sender, the text fits into a log line. */
const MAX_BYTES = 160

export default defineUdpService({
  name: 'listener',
  ports: [12345],
  summary: 'Logs every datagram it receives; never answers.',
  example: { send: 'Hello, world' },
  onMessage (message, from, log) {
    const text = message.length > MAX_BYTES ? `${message.subarray(0, MAX_BYTES)}…` : message
    log(`Received Messages: ${text} from ${from.address}:${from.port}`)
  }
})
