/** Resident memory in bytes; undefined where the process has no file descriptor left to read it with. */
export function residentMemory() {
    try {
        return process.memoryUsage.rss();
    }
    catch {
        return undefined;
    }
}
