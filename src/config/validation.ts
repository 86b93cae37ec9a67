/** Checks the text of each setting, and says what is wrong with it. */
import { MAX_HOSTS, parseHosts } from './hosts.ts'
import { fixed, flag, MAX_ORIGINS, MAX_PORTS, settings, type ListSetting, type Setting } from './settings.ts'

/** Values by the setting's name, without the ports. */
export type SettingValues = { [Name in keyof typeof fixed]: (typeof fixed)[Name]['default'] }

const FORMATS: Readonly<Record<ListSetting['format'], (text: string) => boolean>> = {
  hosts: (text) => text === '' || parseHosts(text) !== null,
  ports: (text) => parsePorts(text) !== null,
  origins: (text) => parseOrigins(text) !== null
}

/** @param isFlag whether a setting came from a flag; the problem names the source. */
export function validate (given: Readonly<Record<string, string>>, isFlag: (name: string) => boolean): { values: SettingValues, problems: string[] } {
  const values: Record<string, string | number> = {}
  const problems: string[] = []
  for (const [name, setting] of Object.entries(settings)) {
    const text = given[name]
    const value = text === undefined ? setting.default : read(setting, text)
    if (value !== null) values[name] = value
    else problems.push(`${name}=${JSON.stringify(text)} from ${isFlag(name) ? flag(name) : 'the environment'} must be ${allowed(setting)}`)
  }
  return { values: values as SettingValues, problems }
}

/** Returns null if the text is wrong. `Number` alone would accept `0x10`, `1e3` and an empty text. */
function read (setting: Setting, text: string): string | number | null {
  if ('minimum' in setting) {
    const value = /^\d{1,15}$/.test(text) ? Number(text) : NaN
    return value >= setting.minimum && value <= setting.maximum ? value : null
  }
  const isRight = 'format' in setting ? FORMATS[setting.format](text) : setting.choices.includes(text)
  return isRight ? text : null
}

/** `off` → [], `9999,10000` → both, anything else → null. */
export function parsePorts (text: string): number[] | null {
  if (text === 'off') return []
  if (!/^\d{1,5}(,\d{1,5})*$/.test(text)) return null
  const list = text.split(',').map(Number)
  return list.length <= MAX_PORTS && list.every((port) => port <= 65_535) ? list : null
}

/** `https://lab.example,http://localhost:3000` → both, if written as browsers send them; anything else → null. */
export function parseOrigins (text: string): string[] | null {
  if (text === '') return []
  const origins = text.split(',')
  const isOrigin = (origin: string) => /^https?:/.test(origin) && URL.canParse(origin) && new URL(origin).origin === origin
  return origins.length <= MAX_ORIGINS && origins.every(isOrigin) ? origins : null
}

/** The allowed values in words: `a whole number from 100 to 600000`. */
function allowed (setting: Setting): string {
  if ('minimum' in setting) return `a whole number from ${setting.minimum} to ${setting.maximum}`
  if ('choices' in setting) return `one of ${setting.choices.join(', ')}`
  switch (setting.format) {
    case 'hosts': return `IP addresses, such as 127.0.0.1,::1, or 0.0.0.0 or :: for all (at most ${MAX_HOSTS}, joined by commas)`
    case 'ports': return `off, 0 for a free port, or ports from 1 to 65535 (at most ${MAX_PORTS}, joined by commas)`
    case 'origins': return `origins such as https://lab.example or http://localhost:3000 (at most ${MAX_ORIGINS}, joined by commas)`
  }
}
