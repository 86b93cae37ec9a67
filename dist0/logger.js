/** The logger: readable lines on a terminal, JSON lines everywhere else. */
import { pino } from 'pino';
import pretty from 'pino-pretty';
/** Lines that a slow reader of our output has not taken yet; beyond it lines are dropped, and the loop is never held up. */
const MAX_UNWRITTEN_CHARS = 4_194_304;
/** Lines are written together: so many characters, or what came in so long. A write of its own for each line, on another thread, cost more than a short connection. */
const BATCH_CHARS = 8192;
const BATCH_MS = 20;
/** How long the end of the process waits for a reader of its log: a little less than what a drain keeps for its end. */
const FLUSH_MS = 350;
export function createLogger(level, isTerminal) {
    if (isTerminal) {
        const logger = pino({ level }, pretty({ sync: true, ignore: 'pid,hostname', translateTime: 'HH:MM:ss', singleLine: true }));
        return Object.assign(logger, { close() { }, async flushAndClose() { } });
    }
    // minLength 1 writes what it is given at once, as 0 does; but with 0 flush() waits for nothing, and with more it forgets what came
    // while it was writing.
    const destination = pino.destination({ dest: 1, sync: false, minLength: 1, maxLength: MAX_UNWRITTEN_CHARS });
    let batch = '';
    let timer;
    const writeBatch = () => {
        clearTimeout(timer);
        timer = undefined;
        if (batch !== '')
            destination.write(batch);
        batch = '';
    };
    const write = (line) => {
        batch += line;
        if (batch.length >= BATCH_CHARS)
            writeBatch();
        else
            timer ??= setTimeout(writeBatch, BATCH_MS).unref();
    };
    const close = () => {
        clearTimeout(timer);
        destination.destroy();
    };
    return Object.assign(pino({ level }, { write }), {
        close,
        async flushAndClose() {
            writeBatch();
            await new Promise((resolve) => {
                const deadline = setTimeout(resolve, FLUSH_MS);
                destination.flush(() => { clearTimeout(deadline); resolve(); });
            });
            close();
        }
    });
}
