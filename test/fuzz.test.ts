/** Fuzz tests: for any input, every parser returns a valid result or its one documented error. `npm run fuzz` runs more of them. */
import { BlockList, isIPv6 } from 'node:net'
import { CommanderError } from 'commander'
import fc from 'fast-check'
import t from 'tap'
import { formatAddress, network, parseTarget } from '../src/shared/address.ts'
import { formatBytes, parseBytes } from '../src/shared/bytes.ts'
import { clientCommand, targetOf, UsageError } from '../src/commands/input.ts'
import { loadConfig } from '../src/config/config.ts'
import { ConfigError } from '../src/config/config-error.ts'
import { fitConnections } from '../src/config/fit-connections.ts'
import { isAllowedOrigin, isOwnName } from '../src/traffic/origin.ts'
import { printable } from '../src/shared/printable.ts'
import { Bucket } from '../src/traffic/rates.ts'
import { readRequest } from '../src/routes/ws-feed.ts'
import { settings } from '../src/config/settings.ts'
import { StartError } from '../src/config/start-error.ts'
import { serverFor } from './support.ts'

/** The suite uses a fixed seed. The longer run uses a new one each time, and fast-check names it with a failure. */
const { FUZZ_RUNS } = process.env
fc.configureGlobal(FUZZ_RUNS === undefined ? { seed: 4, numRuns: 500 } : { numRuns: Number(FUZZ_RUNS) })

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.constantFrom('__proto__', 'constructor', '0', '-1', 'NaN', '\u0000', '..', '%'))

t.test('settings: a Config within its ranges, or a ConfigError that names the variables', async () => {
  const number = fc.oneof(fc.integer().map(String), fc.double().map(String), fc.bigInt().map(String))
  const port = fc.oneof(fc.integer({ min: -1, max: 65_540 }).map(String), fc.constantFrom('off', '0'))
  const value = fc.oneof(text, number, fc.array(port, { maxLength: 10 }).map((ports) => ports.join(',')), fc.webUrl(), fc.ipV4(), fc.ipV6(), fc.constantFrom('on', 'off', 'bench', 'info'))
  const values = fc.dictionary(fc.oneof({ weight: 9, arbitrary: fc.constantFrom(...Object.keys(settings)) }, text), value, { maxKeys: 6 })
  fc.assert(fc.property(values, values, (env, flags) => {
    try {
      const config = loadConfig(env, flags)
      const numbers = [config.http.maxConnections, config.http.rate.burst, config.websocket.pingMs, config.tcp.maxBytes, config.udp.totalRate, config.drainMs]
      const ports = Object.values(config.ports).flatMap((setting) => setting.ports)
      return numbers.every((one) => Number.isSafeInteger(one) && one >= 0) && ports.every((one) => Number.isInteger(one) && one >= 0 && one <= 65_535)
    } catch (error) {
      return error instanceof ConfigError && error.problems.length > 0 && error.problems.every((problem) => /^[A-Z_]+/.exec(problem)?.[0] as string in settings)
    }
  }))
  // No key has polluted a prototype.
  t.equal(Object.keys(Object.prototype).length, 0)
})

t.test('addresses of a command line: a host and a port, or a RangeError', async () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6())
  const port = fc.integer({ min: 1, max: 65_535 })
  fc.assert(fc.property(host, port, (host, port) => {
    const target = parseTarget(formatAddress(host, port), { host: 'x', port: 1 })
    return target.host === host && target.port === port
  }))
  const almost = fc.tuple(fc.oneof(host, text), fc.constantFrom(':', '', '[', ']', ']:'), fc.oneof(port.map(String), text)).map((parts) => parts.join(''))
  fc.assert(fc.property(fc.oneof(text, almost), (address) => {
    try {
      const target = parseTarget(address, { host: '127.0.0.1', port: 1 })
      return target.port >= 1 && target.port <= 65_535 && target.host !== '' && (isIPv6(target.host) || !/[\s[\]/:]/.test(target.host))
    } catch (error) {
      return error instanceof RangeError
    }
  }))
})

t.test('networks: every address of a /64 and no other', async () => {
  const group = fc.integer({ min: 0, max: 0xffff }).map((value) => value.toString(16))
  const address = fc.array(fc.oneof(group, fc.constant('0')), { minLength: 8, maxLength: 8 })
  /** Formats an address as a system does, with the longest run of zeros as `::`. */
  const written = (groups: readonly string[]) => new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1)
  fc.assert(fc.property(address, address, (one, other) => {
    const list = new BlockList()
    list.addSubnet(`${network(written(one))}::`, 64, 'ipv6')
    return list.check(written(one), 'ipv6') && list.check(written(other), 'ipv6') === (network(written(other)) === network(written(one)))
  }))
})

t.test('sizes: whole bytes, or a RangeError', async () => {
  const size = fc.tuple(fc.oneof(fc.nat().map(String), fc.double().map(String), text), fc.constantFrom('', ' '), fc.constantFrom('', 'B', 'KiB', 'mib', 'GB', 'XB')).map((parts) => parts.join(''))
  fc.assert(fc.property(fc.oneof(size, text), (size) => {
    try {
      const bytes = parseBytes(size)
      return Number.isSafeInteger(bytes) && bytes >= 0
    } catch (error) {
      return error instanceof RangeError
    }
  }))
  fc.assert(fc.property(fc.nat({ max: 2 ** 40 }), (bytes) => Math.abs(parseBytes(formatBytes(bytes).replace('bytes', '')) - bytes) <= bytes * 0.05))
})

t.test('arguments of a client: accepted, or a usage error', async () => {
  const argument = fc.oneof(text, fc.constantFrom('--timeout', '--json', '--timeout=1', '--', '-', '--help', '127.0.0.1:1'))
  await fc.assert(fc.asyncProperty(fc.array(argument, { maxLength: 5 }), async (args) => {
    const command = clientCommand('echo', '', '').exitOverride().configureOutput({ writeOut () {}, writeErr () {} })
      .action((address: string | undefined) => { targetOf(address, 'echo') })
    try {
      await command.parseAsync(args, { from: 'user' })
      return true
    } catch (error) {
      return error instanceof CommanderError || error instanceof UsageError
    }
  }))
})

t.test('requests to the feed: a request within its bounds, or a short message that says what is wrong', async () => {
  const request = fc.record({
    transports: fc.oneof(fc.array(fc.constantFrom('http', 'websocket', 'tcp', 'udp', 'x'), { maxLength: 6 }), fc.jsonValue()),
    service: fc.oneof(text, fc.jsonValue()),
    follow: fc.oneof(fc.integer(), fc.double(), fc.jsonValue())
  }, { requiredKeys: [] }).map((value) => JSON.stringify(value))
  const message = fc.oneof(request, fc.json(), text, fc.constantFrom('{"__proto__":{"follow":1}}', '{"constructor":1}', '[]', 'null', '1e999'))
  fc.assert(fc.property(message, (message) => {
    const read = readRequest(Buffer.from(message))
    if (typeof read === 'string') return read.length < 200
    const { transports = [], service = '', follow = 1 } = read
    return Array.isArray(transports) && transports.length <= 4 && typeof service === 'string' && service.length <= 64 && Number.isSafeInteger(follow) && follow > 0
  }))
})

t.test('origins: only the server\'s own and the allowed names', async () => {
  const host = fc.oneof(fc.domain(), fc.ipV4(), fc.ipV6().map((address) => `[${address}]`), fc.constantFrom('localhost', 'localhost.evil.example', '127.0.0.1.evil.example', '127.0.0.1@evil.example', 'evil.example#localhost'), text)
  fc.assert(fc.property(host, fc.oneof(host, fc.constant(undefined)), fc.constantFrom('same-origin', 'cross-site', undefined), (name, at, site) => {
    const origin = `http://${name}`
    const isAllowed = isAllowedOrigin({ origin, host: at ?? name, 'sec-fetch-site': site }, ['https://lab.example'])
    return !isAllowed || isOwnName(new URL(origin).hostname)
  }))
})

t.test('text from clients: no control characters, and no more than the maximum length', async () => {
  fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 1000, size: 'max' }), fc.nat({ max: 300 }), (text, length) => {
    const safe = printable(text, length)
    // eslint-disable-next-line no-control-regex -- finding control characters is the point
    return !/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/.test(safe) && safe.length <= 6 * length + 1
  }))
})

t.test('a bucket never gives more than its burst and its rate', async () => {
  const setting = fc.record({ perSecond: fc.integer({ min: 1, max: 1000 }), burst: fc.integer({ min: 1, max: 100 }) })
  fc.assert(fc.property(setting, fc.array(fc.nat({ max: 100 }), { maxLength: 200, size: 'max' }), (setting, gaps) => {
    const bucket = new Bucket(setting, 0)
    let now = 0
    let taken = 0
    for (const gap of gaps) {
      now += gap
      if (bucket.take(now)) taken++
    }
    return taken <= setting.burst + now * setting.perSecond / 1000
  }))
})

/** HTTP's port, TCP's seven and UDP's two, on three addresses. */
const SOCKETS = 10 * 3

t.test('connection limits fit into any number of descriptors, or the start fails', async () => {
  const cap = fc.option(fc.integer({ min: 1, max: 100_000 }), { nil: undefined })
  fc.assert(fc.property(fc.integer({ min: 1, max: 200_000 }), fc.integer({ min: 10, max: 100 }), fc.record({ HTTP_MAX_CONNECTIONS: cap, WS_MAX_CONNECTIONS: cap, TCP_MAX_CONNECTIONS: cap }), (limit, open, caps) => {
    const config = loadConfig(Object.fromEntries(Object.entries(caps).map(([name, value]) => [name, value?.toString()])))
    try {
      const { http, websocket, tcp } = fitConnections(config, limit, open).config
      const sum = http.maxConnections + websocket.maxConnections + 6 * tcp.maxConnections
      return sum <= 0.8 * limit && sum + open + SOCKETS <= limit && Math.min(http.maxConnections, websocket.maxConnections, tcp.maxConnections) >= 1 &&
        [http.maxConnections, websocket.maxConnections, tcp.maxConnections].every((fitted, index) => (Object.values(caps)[index] ?? fitted) === fitted)
    } catch (error) {
      return error instanceof StartError
    }
  }))
})

t.test('URLs, queries and Host headers of HTTP: never an internal error', async (t) => {
  const { app, log } = await serverFor(t)
  const path = fc.constantFrom('/', '/api/services', '/api/lab/run', '/assets/', '/assets/..%2f', '/ws/echo', '/nothing', '/%', '/%ff')
  const query = fc.oneof(text.map(encodeURIComponent), fc.webQueryParameters(), fc.constantFrom('service=echo&port=1', 'service=__proto__', 'service[]=echo', 'port=1e9', '__proto__[x]=1', '%', '&&&='))
  await fc.assert(fc.asyncProperty(path, query, fc.oneof(text, fc.domain()), fc.constantFrom('GET', 'POST'), async (path, query, host, method) => {
    const { statusCode } = await app.inject({ method, url: { pathname: path, query } as never, headers: { host, accept: 'text/html' } })
    return statusCode < 500
  }), { numRuns: Math.ceil(Number(FUZZ_RUNS ?? 500) / 5) })
  t.notOk(log.some(({ level }) => level >= 50))
})
