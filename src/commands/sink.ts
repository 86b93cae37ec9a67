/** `oneloop sink`: sends much, and says how fast it went. */
import { InvalidArgumentError, type Command } from 'commander'
import { formatAddress } from '../shared/address.ts'
import { formatBytes, parseBytes } from '../shared/bytes.ts'
import { noAnswer } from '../clients/client-error.ts'
import { lines, talk } from '../clients/tcp.ts'
import { clientCommand, inputOf, print, targetOf, type ClientOptions } from './input.ts'

const BAR_WIDTH = 30
const BAR_MS = 100

export function sinkCommand (): Command {
  return clientCommand('sink', 'send bytes that the server counts and discards')
    .argument('[text]', 'what to send; without it, standard input')
    .option('--bytes <size>', "send 'Hello Python\\n' over and over, up to this size (130MiB)", size)
    .action(async (address: string | undefined, text: string | undefined, options: ClientOptions & { bytes?: number }) => {
      const target = targetOf(address, 'sink')
      let sent = 0
      let answer = ''
      const progress = process.stderr.isTTY && !options.json ? drawEvery(BAR_MS, () => sent, options.bytes) : undefined
      const started = performance.now()
      const input = options.bytes === undefined ? inputOf(text) : lines(options.bytes)
      try {
        await talk(target, {
          send: counted(input, (bytes) => { sent += bytes; progress?.draw() }),
          timeoutMs: options.timeout * 1000,
          onData: (chunk) => { answer += chunk }
        })
      } finally {
        progress?.clear()
      }
      if (answer === '') throw noAnswer(target)
      const ms = performance.now() - started
      const bytesPerSecond = Math.round(sent / (ms / 1000))
      if (options.json) return await print(`${JSON.stringify({ service: 'sink', address: formatAddress(target.host, target.port), sent, answer, ms: Number(ms.toFixed(3)), bytesPerSecond })}\n`)
      await print(`${answer.trimEnd()}\nSent ${formatBytes(sent)} in ${(ms / 1000).toFixed(2)} s: ${formatBytes(bytesPerSecond)}/s\n`)
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

/** A progress bar on standard error; without a total, the bytes alone. */
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
