import { ctimeNow } from '../shared/ctime.ts'
import { defineTcpService } from '../service.ts'

export default defineTcpService({
  name: 'time',
  ports: [9999],
  summary: 'Sends the local time as text, then closes (RFC 867).',
  example: { answer: /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d \d{4}\r\n$/ },
  onConnection: (client) => client.end(`${ctimeNow()}\r\n`)
})
