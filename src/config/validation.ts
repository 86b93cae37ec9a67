/** Which texts are right for a setting, and what is said of those that are not. */
import { envSchema, type EnvSchemaOpt } from 'env-schema'
import type { Static } from 'typebox'
import { MAX_HOSTS, parseHosts } from './hosts.ts'
import { fixed, flag, MAX_ORIGINS, MAX_PORTS, settings, type Documented } from './settings.ts'

type Ajv = ReturnType<Extract<EnvSchemaOpt['ajv'], { customOptions: unknown }>['customOptions']>

const SCHEMA = { type: 'object', properties: settings }
/** Made once: it takes longer to compile the schema than to do all else. */
let validator: Ajv | undefined

function addFormats (ajv: Ajv): Ajv {
  return ajv
    .addFormat('hosts', (text) => text === '' || parseHosts(text) !== null)
    .addFormat('ports', (text) => parsePorts(text) !== null)
    .addFormat('origins', (text) => parseOrigins(text) !== null)
    .addVocabulary(['crossed', 'bench'])
}

type Read = Static<typeof fixed> & Record<string, unknown>

/** @param isFlag whether a setting came from a flag: the problem says so. */
export function validate (given: Record<string, string>, isFlag: (name: string) => boolean): { values: Read, problems: string[] } {
  // Numbers are checked here first: the validator alone would let "0x10" and "Infinity" pass.
  const isUnreadable = (name: string) => settings[name]?.minimum !== undefined && !/^\d{1,15}$/.test(given[name] ?? '0')
  const wrong = new Set(Object.keys(given).filter(isUnreadable))
  let values = {} as Read
  try {
    values = envSchema<Read>({
      schema: SCHEMA,
      data: Object.fromEntries(Object.entries(given).filter(([name]) => !wrong.has(name))),
      env: false,
      ajv: { customOptions: (fresh) => { validator ??= addFormats(fresh); return validator } }
    })
  } catch (error) {
    const { errors } = error as { errors?: { instancePath: string }[] }
    if (!errors) throw error
    for (const { instancePath } of errors) wrong.add(instancePath.slice(1))
  }
  const problems = Object.keys(given).filter((name) => wrong.has(name)).map((name) => {
    const source = isFlag(name) ? flag(name) : 'the environment'
    return `${name}=${JSON.stringify(given[name])} from ${source} must be ${allowed(settings[name] as Documented)}`
  })
  return { values, problems }
}

/** `off` → [], `9999,10000` → both, anything else → null. */
export function parsePorts (text: string): number[] | null {
  if (text === 'off') return []
  if (!/^\d{1,5}(,\d{1,5})*$/.test(text)) return null
  const list = text.split(',').map(Number)
  return list.length <= MAX_PORTS && list.every((port) => port <= 65_535) ? list : null
}

/** `https://lab.example,http://localhost:3000` → both, as browsers write them; anything else → null. */
export function parseOrigins (text: string): string[] | null {
  if (text === '') return []
  const origins = text.split(',')
  const isOrigin = (origin: string) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin
  return origins.length <= MAX_ORIGINS && origins.every(isOrigin) ? origins : null
}

/** What a setting may be, in words: `a whole number from 100 to 600000`. */
function allowed (setting: Documented): string {
  if (setting.enum) return `one of ${setting.enum.join(', ')}`
  if (setting.format === 'hosts') return `IP addresses, such as 127.0.0.1,::1, or 0.0.0.0 or :: for all (at most ${MAX_HOSTS}, joined by commas)`
  if (setting.format === 'ports') return `off, 0 for a free port, or ports from 1 to 65535 (at most ${MAX_PORTS}, joined by commas)`
  if (setting.format === 'origins') return `origins such as https://lab.example or http://localhost:3000 (at most ${MAX_ORIGINS}, joined by commas)`
  return `a whole number from ${setting.minimum} to ${setting.maximum}`
}
