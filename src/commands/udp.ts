/** `oneloop udp`: one datagram, and its answer. */
import type { Command } from 'commander'
import { formatAddress } from '../shared/address.ts'
import { sendDatagram } from '../clients/udp.ts'
import { clientCommand, inputBytes, jsonBytes, print, show, targetOf, type ClientOptions } from './input.ts'

export function udpCommand (): Command {
  return clientCommand('udp', 'send one datagram, take the answer')
    .argument('[text]', 'what to send; without it, standard input')
    .option('--no-answer', 'do not wait: for the listener, which never answers')
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { answer: boolean }) => {
      const target = targetOf(address, options.answer ? 'udp-echo' : 'listener')
      const sent = await inputBytes(text)
      const started = performance.now()
      const received = await sendDatagram(target, sent, { timeoutMs: options.timeout * 1000, isAnswered: options.answer })
      const ms = Number((performance.now() - started).toFixed(3))
      const to = formatAddress(target.host, target.port)
      if (options.json) return await print(`${JSON.stringify({ service: 'udp', address: to, sent: jsonBytes(sent), ...(received && { received: jsonBytes(received) }), ms })}\n`)
      await print(received ? `Received ${show(received)}\n` : `Sent ${show(sent)} to ${to}\n`)
    })
}
