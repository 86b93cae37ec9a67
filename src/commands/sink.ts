/** `oneloop sink`: sends many bytes and shows the speed. */
import { InvalidArgumentError, type Command } from 'commander'
import { formatBytes, parseBytes } from '../shared/bytes.ts'
import { noAnswer } from '../clients/client-error.ts'
import { ask, lines } from '../clients/tcp.ts'
import { clientCommand, inputOf, lineOf, report, targetOf, TEXT_HELP, UsageError, type ClientOptions } from './input.ts'

const BAR_WIDTH = 30
const BAR_MS = 100

export function sinkCommand (): Command {
  return clientCommand('sink', 'send bytes that the server counts and discards', '127.0.0.1 --bytes 130MiB')
    .argument('[text]', TEXT_HELP)
    .option('--bytes <size>', "send 'Hello Python\\n' over and over, up to this size (130MiB)", size)
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { bytes?: number }) => {
      if (text !== undefined && options.bytes !== undefined) throw new UsageError('sink sends a text or --bytes, not both')
      const target = targetOf(address, 'sink')
      let sent = 0
      const progress = process.stderr.isTTY && !options.json ? drawEvery(BAR_MS, () => sent, options.bytes) : undefined
      await report('sink', target, options, {
        async run (_input, facts) {
          const input = options.bytes === undefined ? inputOf(text) : lines(options.bytes)
          try {
            const send = counted(input, (bytes) => { sent += bytes; progress?.draw() })
            const answer = await ask(target, { send, timeoutMs: options.timeout * 1000 })
            if (answer.length === 0) throw noAnswer(target)
            const { ms } = facts()
            return { sent, answer, ms, bytesPerSecond: Math.round(sent / (ms / 1000)) }
          } finally {
            progress?.clear()
          }
        },
        say: ({ answer, ms, bytesPerSecond }) => `${lineOf(answer)}\nSent ${formatBytes(sent)} in ${(ms / 1000).toFixed(2)} s: ${formatBytes(bytesPerSecond)}/s`
      })
    })
}

function size (text: string): number {
  try {
    return parseBytes(text)
  } catch (error) {
    throw new InvalidArgumentError((error as Error).message)
  }
}

async function * counted (input: Uint8Array | AsyncIterable<Uint8Array>, count: (bytes: number) => void): AsyncGenerator<Uint8Array> {
  for await (const chunk of input instanceof Uint8Array ? [input] : input) {
    yield chunk
    count(chunk.length)
  }
}

/** A progress bar on standard error; without a total, only the bytes sent. */
function drawEvery (everyMs: number, sent: () => number, total: number | undefined): { draw: () => void, clear: () => void } {
  let drawnAt = 0
  return {
    draw () {
      const now = performance.now()
      if (now - drawnAt < everyMs) return
      drawnAt = now
      const done = total ? Math.round(BAR_WIDTH * sent() / total) : 0
      const bar = total === undefined ? '' : `[${'#'.repeat(done)}${'.'.repeat(BAR_WIDTH - done)}] ${Math.floor(100 * sent() / Math.max(total, 1))} % `
      process.stderr.write(`\r\u001b[K${bar}${formatBytes(sent())}`)
    },
    clear () { process.stderr.write('\r\u001b[K') }
  }
}
