/** Why the server does not start. Nothing stays open. */
export class StartError extends Error {
  readonly code = 'ERR_START'

  constructor (message: string) {
    super(message)
    this.name = 'StartError'
  }
}

/** Names every problem, a line each. */
export function cannotStart (problems: readonly string[]): StartError {
  return new StartError(`cannot start:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
}
