/** The command line of both load generators, and its bounds. */
import { isIPv4 } from 'node:net'
import { parseArgs } from 'node:util'

export const MODES = ['tcp', 'ws', 'http', 'http-close', 'udp', 'time-churn', 'echo-churn', 'sink', 'ws-hold', 'tcp-hold'] as const
export type Mode = typeof MODES[number]

export interface LoadOptions {
  readonly mode: Mode
  readonly host: string
  readonly port: number
  readonly path: string
  readonly connections: number
  /** Bytes of a message. */
  readonly size: number
  /** Messages in flight on each connection. */
  readonly depth: number
  /** Addresses from 127.0.0.1 on, which the connections come from in turn. */
  readonly sources: number
  readonly seconds: number
  readonly warmup: number
  /** Time for the connections to open. */
  readonly opening: number
  /** The server's process, whose CPU time and memory are told; 0: none. */
  readonly pid: number
  readonly isText: boolean
  /** The bodies of HTTP's answers may differ. */
  readonly isVarying: boolean
}

export class OptionError extends Error {
  override readonly name = 'OptionError'
}

const NUMBERS = {
  port: { default: Number.NaN, from: 1, to: 65_535 },
  connections: { default: 1, from: 1, to: 60_000 },
  size: { default: 64, from: 1, to: 1_048_576 },
  depth: { default: 1, from: 1, to: 65_536 },
  sources: { default: 1, from: 1, to: 250 },
  seconds: { default: 1, from: 0.01, to: 60 },
  warmup: { default: 0.3, from: 0, to: 60 },
  opening: { default: 10, from: 0.01, to: 60 },
  pid: { default: 0, from: 0, to: 4_194_304 }
} as const

/** Throws an OptionError for what is unknown or out of bounds, and for a host elsewhere without `--remote`. */
export function loadOptions (words: readonly string[]): LoadOptions {
  const text = { type: 'string' } as const
  const flag = { type: 'boolean', default: false } as const
  const { values, positionals } = parseArgs({
    args: [...words],
    allowPositionals: true,
    options: {
      host: { ...text, default: '127.0.0.1' },
      path: { ...text, default: '/' },
      port: text,
      connections: text,
      size: text,
      depth: text,
      sources: text,
      seconds: text,
      warmup: text,
      opening: text,
      pid: text,
      text: flag,
      varying: flag,
      remote: flag
    }
  })
  const mode = MODES.find((one) => one === positionals[0])
  if (!mode || positionals.length > 1) throw new OptionError(`the modes are ${MODES.join(', ')}`)
  const number = (name: keyof typeof NUMBERS) => {
    const { default: usual, from, to } = NUMBERS[name]
    const value = Number(values[name] ?? usual)
    if (!(value >= from && value <= to)) throw new OptionError(`--${name} takes ${from}-${to}`)
    return value
  }
  const { host } = values
  if (!isIPv4(host)) throw new OptionError('--host takes an IPv4 address')
  if (!host.startsWith('127.') && !values.remote) throw new OptionError('--host is not this machine (127.0.0.0/8); --remote allows it')
  const size = number('size')
  if (mode === 'udp' && size < 8) throw new OptionError('--size takes 8 at least for UDP')
  return {
    mode,
    host,
    size,
    port: number('port'),
    path: values.path,
    connections: number('connections'),
    depth: mode.endsWith('-hold') ? 1 : number('depth'),
    sources: number('sources'),
    seconds: number('seconds'),
    warmup: number('warmup'),
    opening: number('opening'),
    pid: number('pid'),
    isText: values.text,
    isVarying: values.varying
  }
}
