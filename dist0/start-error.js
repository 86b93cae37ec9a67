/** Names every port that could not be had, a line each. Nothing stays open. */
export class StartError extends Error {
    code = 'ERR_START';
    constructor(problems) {
        super(`cannot start:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
        this.name = 'StartError';
    }
}
