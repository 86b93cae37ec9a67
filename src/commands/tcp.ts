/** `oneloop time`, `greeting`, `echo`, `echo-once`, `exchange`: clients of the TCP services that answer with text. */
import type { Command } from 'commander'
import { formatAddress, type Target } from '../shared/address.ts'
import { ask, exchange, talk } from '../clients/tcp.ts'
import { clientCommand, inputBytes, inputOf, jsonBytes, print, show, targetOf, type ClientOptions } from './input.ts'

/** Runs one dialogue and prints it: as JSON with the time it took, or as `say` has it. */
async function report<T extends Record<string, Buffer>> (
  service: string, target: Target, { json }: ClientOptions, run: () => Promise<T>, say: (got: T) => string
): Promise<void> {
  const started = performance.now()
  const got = await run()
  const ms = Number((performance.now() - started).toFixed(3))
  if (!json) return await print(`${say(got)}\n`)
  const bytes = Object.fromEntries(Object.entries(got).map(([key, value]) => [key, jsonBytes(value)]))
  await print(`${JSON.stringify({ service, address: formatAddress(target.host, target.port), ...bytes, ms })}\n`)
}

function speaksFirst (name: string, description: string, say: (received: Buffer) => string): Command {
  return clientCommand(name, description).action(async (address: string | undefined, options: ClientOptions) => {
    const target = targetOf(address, name)
    const run = async () => ({ received: await ask(target, { timeoutMs: options.timeout * 1000 }) })
    await report(name, target, options, run, ({ received }) => say(received))
  })
}

function echoes (name: string, description: string): Command {
  return clientCommand(name, description)
    .argument('[text]', 'what to send; without it, standard input')
    .option('--raw', 'print exactly the bytes that came back, as they come')
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { raw?: true }) => {
      const target = targetOf(address, name)
      const timeoutMs = options.timeout * 1000
      if (options.raw) return await talk(target, { send: inputOf(text), timeoutMs, onData: (chunk) => process.stdout.write(chunk) })
      const send = await inputBytes(text)
      await report(name, target, options, async () => ({ sent: send, received: await ask(target, { send, timeoutMs }) }), ({ received }) => `Received ${show(received)}`)
    })
}

export function tcpCommands (): Command[] {
  return [
    speaksFirst('time', 'ask for the time', (received) => `The time got from the server is ${received.toString().trimEnd()}`),
    speaksFirst('greeting', 'take the greeting', (received) => received.toString()),
    echoes('echo', 'send text, get it back'),
    echoes('echo-once', 'send text, get its first 16 bytes back'),
    clientCommand('exchange', 'take the greeting, send one message, take the answer')
      .argument('[text]', 'what to send; without it, standard input')
      .action(async (address: string | undefined, text: string | undefined, options: ClientOptions) => {
        const target = targetOf(address, 'exchange')
        const sent = await inputBytes(text)
        const run = async () => ({ sent, ...await exchange(target, sent, { timeoutMs: options.timeout * 1000 }) })
        await report('exchange', target, options, run, ({ greeting, answer }) => `${greeting.toString().trimEnd()}\n${answer.toString().trimEnd()}`)
      })
  ]
}
