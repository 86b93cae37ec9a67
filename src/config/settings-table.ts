/** Describes the settings: Markdown tables for docs/settings.md and docs/limits.md, and the help of `oneloop serve`. */
import { flag, isLimit, settings, type Setting } from './settings.ts'

export function settingsTable (): string {
  const rows = Object.entries(settings).map(([name, setting]) =>
    [`\`${name}\``, `\`${flag(name)}\``, code(setting.default), range(setting), setting.description])
  return markdown(['Variable', 'Flag', 'Default', 'Range', 'Meaning'], rows)
}

/** Every limit that can be set, and what crossing it gets a client. */
export function limitsTable (): string {
  const rows = Object.entries(settings).filter(([name]) => isLimit(name)).map(([name, setting]) =>
    [`\`${name}\``, code(setting.default), range(setting), code(setting.bench ?? setting.default), setting.description, setting.crossed ?? ''])
  return markdown(['Limit', 'Default', 'Range', '`bench`', 'Meaning', 'A client that crosses it gets'], rows)
}

export function settingHelp (setting: Setting): string {
  const text = `${setting.description} (${range(setting)}${setting.default === '' ? '' : `; default ${setting.default}`})`
  return text.replaceAll('`', '')
}

/** The heading in the help under which a setting is listed. */
export function topicOf (name: string): string {
  if (name === 'HOST' || name.endsWith('_PORT')) return 'Where it listens:'
  const [, topic] = TOPICS.find(([start]) => name.startsWith(start)) ?? ['', 'Server:']
  return topic
}

const TOPICS = [['HTTP_', 'HTTP:'], ['WS_', 'WebSocket:'], ['TCP_', 'TCP:'], ['UDP_', 'UDP:']] as const

function range (setting: Setting): string {
  if ('minimum' in setting) return `${setting.minimum}–${setting.maximum}`
  if ('choices' in setting) return setting.choices.join(', ')
  switch (setting.format) {
    case 'ports': return '`off`, `0` (free), 1–65535, list'
    case 'hosts': return 'IP addresses, list'
    case 'origins': return 'list of origins'
  }
}

const code = (value: unknown): string => value === '' ? '' : `\`${value}\``

function markdown (head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((_cell, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)))
  const line = (row: readonly string[]) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`
  return [line(head), `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`, ...rows.map(line)].join('\n')
}
