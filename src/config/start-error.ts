/** Says why the server does not start. No port stays open. */
export class StartError extends Error {
  readonly code = 'ERR_START'

  constructor (message: string) {
    super(message)
    this.name = 'StartError'
  }
}

/** Names every problem, one on each line. */
export function cannotStart (problems: readonly string[]): StartError {
  return new StartError(`cannot start:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
}
