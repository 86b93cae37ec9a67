import { readFileSync } from 'node:fs'

/** The package's version. The path is right from src/ and dist/. */
export const { version: VERSION } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
