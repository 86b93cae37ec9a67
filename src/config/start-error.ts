/** Names every port that could not be had, a line each. Nothing stays open. */
export class StartError extends Error {
  readonly code = 'ERR_START'

  constructor (problems: readonly string[]) {
    super(`cannot start:\n${problems.map((problem) => `  ${problem}`).join('\n')}`)
    this.name = 'StartError'
  }
}
