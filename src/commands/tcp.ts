/** `oneloop time`, `greeting`, `echo`, `echo-once`, `exchange`: clients of the TCP services that answer with text. */
import type { Command } from 'commander'
import { ask, exchange, talk } from '../clients/tcp.ts'
import { show } from '../shared/printable.ts'
import { clientCommand, inputBytes, inputOf, lineOf, print, report, targetOf, TEXT_HELP, type ClientOptions } from './input.ts'

/** Largest answer shown in quotes: it is kept in memory. */
const MAX_SHOWN_BYTES = 1_048_576
/** Largest message: the server may get it in one read. */
const MAX_MESSAGE_BYTES = 65_536

function speaksFirst (name: string, description: string, say: (received: Buffer) => string): Command {
  return clientCommand(name, description, '127.0.0.1').action(async (address: string | undefined, options: ClientOptions) => {
    const target = targetOf(address, name)
    await report(name, target, options, {
      run: async () => ({ received: await ask(target, { timeoutMs: options.timeout * 1000 }) }),
      say: ({ received }) => say(received)
    })
  })
}

function echoes (name: string, description: string): Command {
  return clientCommand(name, description, "127.0.0.1 'Hello, world'")
    .argument('[text]', TEXT_HELP)
    .option('--raw', 'print exactly the bytes that came back, as they come')
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { raw?: true }) => {
      const target = targetOf(address, name)
      const timeoutMs = options.timeout * 1000
      if (options.raw) return await report(name, target, options, { run: () => talk(target, { send: inputOf(text), timeoutMs, onData: print }), say: String })
      await report(name, target, options, {
        input: () => inputBytes(text, MAX_SHOWN_BYTES, 'at most 1 MiB is shown in quotes. --raw sends and prints as much as there is'),
        run: async (sent) => ({ sent, received: await ask(target, { send: sent, timeoutMs }) }),
        say: ({ received }) => `Received ${show(received)}`
      })
    })
}

export function tcpCommands (): Command[] {
  return [
    speaksFirst('time', 'ask for the time', (received) => `The time got from the server is ${lineOf(received)}`),
    speaksFirst('greeting', 'take the greeting', lineOf),
    echoes('echo', 'send text, get it back'),
    echoes('echo-once', 'send text, get its first 16 bytes back'),
    clientCommand('exchange', 'take the greeting, send one message, take the answer', "127.0.0.1 'Hello, world'")
      .argument('[text]', TEXT_HELP)
      .action(async (address: string | undefined, text: string | undefined, options: ClientOptions) => {
        const target = targetOf(address, 'exchange')
        await report('exchange', target, options, {
          input: () => inputBytes(text, MAX_MESSAGE_BYTES, 'the service takes one message, of 64 KiB at most'),
          run: async (sent) => ({ sent, ...await exchange(target, sent, { timeoutMs: options.timeout * 1000 }) }),
          say: ({ greeting, answer }) => `${lineOf(greeting)}\n${lineOf(answer)}`
        })
      })
  ]
}
