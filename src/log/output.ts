/** Writes the log to standard output in batches. It never waits for a reader, and a failure does not stop the server. */
import { fstatSync, writeSync } from 'node:fs'

const STDOUT = 1
/** Most bytes kept for a slow reader; further lines are lost. */
const MAX_UNWRITTEN_BYTES = 4_194_304
/** Batches save a system call for each line. */
const BATCH_CHARS = 8192
const BATCH_MS = 20
/** Longest wait for a reader at the end of the process: a little less than the time a drain reserves for this. */
const FLUSH_MS = 350

export class Output {
  /** Lines that could not be written. */
  lost = 0
  readonly #isImmediate: boolean
  /** A pipe is written through Node.js's stream, which does not block. A file is not: the stream would give up after one error. */
  readonly #isPipe: boolean
  #batch = ''
  #lines = 0
  #timer: NodeJS.Timeout | undefined
  #hasFailed = false

  /** @param isImmediate whether each line is written at once, for a terminal. */
  constructor (isImmediate: boolean) {
    this.#isImmediate = isImmediate
    const stats = fstatSync(STDOUT)
    this.#isPipe = stats.isFIFO() || stats.isSocket()
    if (this.#isPipe) process.stdout.on('error', (error) => this.#failed(error, 0))
  }

  write (line: string): void {
    this.#batch += line
    this.#lines++
    if (this.#isImmediate || this.#batch.length >= BATCH_CHARS) this.#writeBatch()
    else this.#timer ??= setTimeout(() => this.#writeBatch(), BATCH_MS).unref()
  }

  async flush (): Promise<void> {
    this.#writeBatch()
    if (!this.#isPipe || process.stdout.writableLength === 0) return
    await new Promise<void>((resolve) => {
      const deadline = setTimeout(resolve, FLUSH_MS)
      process.stdout.write('', () => { clearTimeout(deadline); resolve() })
    })
  }

  #writeBatch (): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const [batch, lines] = [this.#batch, this.#lines]
    this.#batch = ''
    this.#lines = 0
    if (lines === 0) return
    if (this.#isPipe) this.#writeToPipe(batch, lines)
    else this.#writeToFile(Buffer.from(batch), lines)
  }

  #writeToPipe (batch: string, lines: number): void {
    if (process.stdout.writableLength > MAX_UNWRITTEN_BYTES) this.lost += lines
    else process.stdout.write(batch, (error) => { if (error) this.#failed(error, lines) })
  }

  #writeToFile (batch: Buffer, lines: number): void {
    try {
      for (let written = 0; written < batch.length;) written += writeSync(STDOUT, batch, written)
    } catch (error) {
      this.#failed(error as Error, lines)
    }
  }

  #failed (error: NodeJS.ErrnoException, lines: number): void {
    this.lost += lines
    if (this.#hasFailed) return
    this.#hasFailed = true
    try {
      writeSync(2, `oneloop: the log cannot be written (${error.code ?? error.message}). The server goes on and counts the lost lines\n`)
    } catch {
      // There is nobody left to tell.
    }
  }
}
