import t from 'tap'
import { loadConfig, type Values } from '../src/config/config.ts'
import { ConfigError } from '../src/config/config-error.ts'
import { flag, settings } from '../src/config/settings.ts'

/** The problems of these settings; empty if they are right. */
function problemsOf (env: Values, flags: Values = {}): readonly string[] {
  try {
    loadConfig(env, flags)
    return []
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
}

t.test('the defaults are the tutorials\' ports, on this machine alone', async (t) => {
  const config = loadConfig()
  t.same(config.hosts.map(({ address }) => address), ['127.0.0.1', '::1', '127.0.0.4'])
  t.equal(config.drainMs, 10_000)
  t.match(Object.fromEntries(Object.entries(config.ports).map(([name, { ports }]) => [name, ports])), {
    http: [5001],
    time: [9999],
    echo: [12345, 65432],
    'echo-once': [8080],
    greeting: [50675],
    exchange: [12121],
    sink: [12346],
    listener: [12345],
    'udp-echo': [12347]
  })
  t.notOk(Object.values(config.ports).some(({ isSet }) => isSet))
})

t.test('a port setting takes off, 0, one port or several', async (t) => {
  const ports = (ECHO_PORT: string) => loadConfig({ ECHO_PORT }).ports.echo
  t.same(ports('off'), { variable: 'ECHO_PORT', ports: [], isSet: true })
  t.same(ports('0'), { variable: 'ECHO_PORT', ports: [0], isSet: true })
  t.same(ports('7000'), { variable: 'ECHO_PORT', ports: [7000], isSet: true })
  t.same(ports('7000,7001,0'), { variable: 'ECHO_PORT', ports: [7000, 7001, 0], isSet: true })
})

t.test('a flag wins over the environment; an empty variable counts as not set', async (t) => {
  t.equal(loadConfig({ DRAIN_MS: '2000' }).drainMs, 2000)
  t.equal(loadConfig({ DRAIN_MS: '2000' }, { DRAIN_MS: '3000' }).drainMs, 3000)
  t.equal(loadConfig({ DRAIN_MS: '' }).drainMs, 10_000)
  t.match(problemsOf({}, { DRAIN_MS: '' }), ['DRAIN_MS="" from --drain-ms must be a whole number'], 'an empty flag does not')
  t.equal(flag('UDP_ECHO_PORT'), '--udp-echo-port')
})

/** Each format, and texts that no setting of it accepts. */
const BAD: Readonly<Record<string, readonly string[]>> = {
  ports: ['on', '-1', '65536', '1.5', '99999', '1,', ',1', '1, 2', '1 2', '1,2,3,4,5,6,7,8,9', '0x10'],
  hosts: ['localhost', '300.0.0.1', '127.0.0.1:80', '127.1', '*', '127.0.0.1,', '127.0.0.1, ::1', 'x86_64-pc-linux-gnu', Array.from({ length: 17 }, (_, i) => `127.0.0.${i}`).join(',')],
  origins: ['lab.example', 'https://lab.example/', 'https://lab.example:443', 'null', '*', 'ftp://lab.example', 'https://a,', ' ', Array(17).fill('http://a').join(',')],
  choice: ['loud', 'INFO', '30'],
  number: ['ten', '1.5', '-1', '10s', 'NaN', 'Infinity', '0x100', '1e3', ' 5']
}

/** The description of each format in the message. */
const RIGHT: Readonly<Record<string, RegExp>> = {
  ports: /off, 0 for a free port, or ports from 1 to 65535/,
  hosts: /IP addresses, such as/,
  origins: /origins such as/,
  choice: /one of/
}

t.test('every setting refuses bad values, naming the variable, the value and the valid form', async (t) => {
  const seen = new Set<string>()
  for (const [name, setting] of Object.entries(settings)) {
    const isNumber = 'minimum' in setting
    const format = isNumber ? 'number' : 'format' in setting ? setting.format : 'choice'
    const right = isNumber ? new RegExp(`a whole number from ${setting.minimum} to ${setting.maximum}`) : RIGHT[format] ?? /^$/
    const outside = isNumber ? [String(setting.minimum - 1), String(setting.maximum + 1)] : []
    // The first setting of a format gets all bad texts, the others one.
    const bad = [...outside, ...BAD[format]?.slice(0, seen.has(format) ? 1 : Infinity) ?? []]
    seen.add(format)
    for (const value of bad) {
      const problems = problemsOf({ [name]: value })
      t.ok(problems.length === 1 && problems[0]?.startsWith(`${name}=${JSON.stringify(value)} from the environment must be `) && right.test(problems[0]), `${name}=${value}: ${problems}`)
    }
  }
  t.same([...seen].sort(), Object.keys(BAD).sort())
})

t.test('all problems are reported at once, naming the flag if one came from a flag', async (t) => {
  t.same(problemsOf({ HOST: 'localhost', ECHO_PORT: 'x', LOG_LEVEL: 'loud', TIME_PORT: '12121' }, { DRAIN_MS: '5' }), [
    'HOST="localhost" from the environment must be IP addresses, such as 127.0.0.1,::1, or 0.0.0.0 or :: for all (at most 16, joined by commas)',
    'ECHO_PORT="x" from the environment must be off, 0 for a free port, or ports from 1 to 65535 (at most 8, joined by commas)',
    'LOG_LEVEL="loud" from the environment must be one of fatal, error, warn, info, debug, trace, silent',
    'DRAIN_MS="5" from --drain-ms must be a whole number from 1000 to 600000',
    'TIME_PORT and EXCHANGE_PORT (default) both ask for tcp port 12121: give one of them another port, or off'
  ])
})

t.test('two services on one port are refused, on one transport', async (t) => {
  const clash = (a: string, b: string, port: number) => [`${a} and ${b} both ask for tcp port ${port}: give one of them another port, or off`]
  t.same(problemsOf({ HTTP_PORT: '7000', ECHO_PORT: '7000' }), clash('HTTP_PORT', 'ECHO_PORT', 7000))
  t.same(problemsOf({ HTTP_PORT: '8080' }), clash('HTTP_PORT', 'ECHO_ONCE_PORT (default)', 8080))
  t.same(problemsOf({ HTTP_PORT: '8080', ECHO_ONCE_PORT: 'off' }), [])
  t.same(problemsOf({ ECHO_PORT: '7000,7000' }), clash('ECHO_PORT', 'ECHO_PORT', 7000))
  t.same(problemsOf({ ECHO_PORT: '0,0', TIME_PORT: '0' }), [], 'free ports never clash')
  t.same(problemsOf({ ECHO_PORT: '7000', UDP_ECHO_PORT: '7000' }), [], 'TCP and UDP ports are apart')
})
