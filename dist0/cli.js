#!/usr/bin/env node
/** The command line's first file: the only reader of the process's arguments. It loads the rest, and says so if that cannot be loaded. */
try {
    const { run } = await import("./program.js");
    await run(process.argv);
}
catch (error) {
    // Node.js opens the modules' files all at once.
    if (error.code !== 'EMFILE')
        throw error;
    console.error('oneloop: too few file descriptors to load the program: allow at least 256 with ulimit -n');
    process.exitCode = 1;
}
export {};
