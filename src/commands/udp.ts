/** `oneloop udp`: one datagram, and its answer. */
import type { Command } from 'commander'
import { formatAddress } from '../shared/address.ts'
import { ClientError } from '../clients/client-error.ts'
import { MAX_DATAGRAM_BYTES, sendDatagram } from '../clients/udp.ts'
import { loadConfig } from '../config/config.ts'
import { show } from '../shared/printable.ts'
import { clientCommand, inputBytes, report, targetOf, TEXT_HELP, type ClientOptions } from './input.ts'

export function udpCommand (): Command {
  return clientCommand('udp', 'send one datagram, take the answer', "127.0.0.1 'Hello, world'", 'udp-echo')
    .argument('[text]', TEXT_HELP)
    .option('--no-answer', 'do not wait: for the listener, which never answers (LISTENER_PORT, 12345)')
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { answer: boolean }) => {
      const target = targetOf(address, options.answer ? 'udp-echo' : 'listener')
      const { ports, udp: { maxBytes } } = loadConfig(process.env)
      const isAnswered = options.answer && ports.listener?.ports.includes(target.port) !== true
      await report('udp', target, options, {
        input: () => inputBytes(text, MAX_DATAGRAM_BYTES, `one datagram takes ${MAX_DATAGRAM_BYTES} bytes at most`),
        async run (sent) {
          try {
            const received = await sendDatagram(target, sent, { timeoutMs: options.timeout * 1000, isAnswered })
            return { sent, ...(received && { received }) }
          } catch (error) {
            if (!(error instanceof ClientError) || error.code !== 'ETIMEDOUT') throw error
            throw new ClientError(error.code, `${error.message}. ${sent.length > maxBytes
              ? `The datagram has ${sent.length} bytes, and the server answers ${maxBytes} at most (UDP_MAX_BYTES)`
              : 'The listener never answers: write --no-answer'}`)
          }
        },
        say: ({ sent, received }: { sent: Buffer, received?: Buffer }) =>
          received ? `Received ${show(received)}` : `Sent ${show(sent)} to ${formatAddress(target.host, target.port)}`
      })
    })
}
