/** `/metrics`: the counters of the endpoints, the feed, the loop and the process, for Prometheus. */
import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Endpoint } from '../traffic/endpoint.ts'
import { descriptorLimit, openDescriptors, residentMemory } from '../traffic/resources.ts'
import { isLimit } from '../config/settings.ts'
import type { Logger } from '../log/logger.ts'
import type { Tally } from '../traffic/tally.ts'
import { VERSION } from '../shared/version.ts'

/** Limits that are not settings; see docs/limits.md. */
const FIXED_LIMITS: readonly string[] = ['VIEWERS', 'LAB_BUSY', 'LAB_BUDGET']
const MICROSECONDS = 1e6

/**
 * Nothing is counted here: each request reads the values that the runners keep anyway.
 * Labels are names of services, limits and guards, and error codes; never text or addresses from clients.
 */
export async function metrics (app: FastifyInstance): Promise<void> {
  const register = new Registry()
  const { endpoints, connections, feed, pressure } = app

  /** One value for each service: the sum over its endpoints. */
  function perService (name: string, help: string, read: (endpoint: Endpoint) => number | undefined, kind: 'counter' | 'gauge' = 'counter'): void {
    collect(name, help, ['service', 'transport'], kind, (add) => {
      for (const endpoint of endpoints) {
        const value = read(endpoint)
        if (value !== undefined) add({ service: endpoint.name, transport: endpoint.transport }, value)
      }
    })
  }

  /** One value for each name in the endpoints' tallies. */
  function perName (name: string, help: string, label: string, tallies: (endpoint: Endpoint) => readonly Tally[], isShown: (name: string) => boolean = () => true): void {
    collect(name, help, ['service', label], 'counter', (add) => {
      for (const endpoint of endpoints) {
        for (const tally of tallies(endpoint)) for (const [key, count] of tally) if (isShown(key)) add({ service: endpoint.name, [label]: key }, count)
      }
      if (label === 'limit' && pressure.exhaustions > 0) add({ service: 'process', limit: 'descriptors' }, pressure.exhaustions)
    })
  }

  function collect (name: string, help: string, labelNames: string[], kind: 'counter' | 'gauge', read: (add: (labels: Record<string, string>, value: number) => void) => void): void {
    const Metric = kind === 'counter' ? Counter : Gauge
    const metric: Counter | Gauge = new Metric({
      name,
      help,
      labelNames,
      registers: [register],
      collect () {
        metric.reset()
        read((labels, value) => metric.inc(labels, value))
      }
    })
  }

  const one = (name: string, help: string, read: () => number | undefined, kind: 'counter' | 'gauge' = 'gauge') =>
    collect(name, help, [], kind, (add) => add({}, read() ?? NaN))

  const ofConnections = (read: (endpoint: Endpoint) => number) => (endpoint: Endpoint) => endpoint.transport === 'udp' ? undefined : read(endpoint)
  const ofDatagrams = (read: (endpoint: Endpoint) => number) => (endpoint: Endpoint) => endpoint.transport === 'udp' ? read(endpoint) : undefined

  perService('oneloop_connections_open', 'Connections open now.', ofConnections(({ open }) => open), 'gauge')
  perService('oneloop_connections_total', 'Connections accepted.', ofConnections(({ total }) => total))
  perService('oneloop_received_bytes_total', 'Bytes read; for WebSockets, only those of messages.', ({ bytesIn }) => bytesIn)
  perService('oneloop_sent_bytes_total', 'Bytes written; for WebSockets, only those of messages.', ({ bytesOut }) => bytesOut)
  perService('oneloop_datagrams_received_total', 'Datagrams received.', ofDatagrams(({ total }) => total))
  perService('oneloop_datagrams_answered_total', 'Datagrams answered.', ofDatagrams(({ answered }) => answered))
  perName('oneloop_refused_total', 'Connections, requests and datagrams turned away, by limit or guard.', 'reason', ({ refusals }) => [refusals])
  perName('oneloop_limits_crossed_total', 'Limits that clients crossed.', 'limit', ({ refusals, crossings }) => [refusals, crossings],
    (name) => isLimit(name) || FIXED_LIMITS.includes(name))
  perName('oneloop_errors_total', 'Broken connections and failed system calls, by error code.', 'kind', ({ errors }) => [errors])
  one('oneloop_feed_dropped_events_total', 'Events not sent to a viewer of the feed.', () => feed.dropped, 'counter')
  one('oneloop_log_lines_dropped_total', 'Lines left out of the log because of LOG_RATE.', () => connections.log.unlogged, 'counter')
  one('oneloop_log_lines_lost_total', 'Lines that could not be written to standard output.', () => (app.log as Partial<Logger>).lostLines ?? 0, 'counter')

  const delay = new Histogram({
    name: 'oneloop_event_loop_delay_seconds',
    help: 'Lateness of a timer, measured twenty times a second.',
    buckets: [0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1, 2, 5],
    registers: [register]
  })
  pressure.onDelay = (ms) => delay.observe(ms / 1000)
  one('oneloop_event_loop_utilization_ratio', 'Share of the last second in which the event loop was busy.', () => pressure.utilisation)

  one('process_cpu_seconds_total', 'User and system CPU time spent.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / MICROSECONDS
  }, 'counter')
  one('process_resident_memory_bytes', 'Resident memory.', residentMemory)
  one('process_open_fds', 'Open file descriptors.', openDescriptors)
  const maxDescriptors = descriptorLimit()
  one('process_max_fds', 'Maximum number of open file descriptors.', () => maxDescriptors)
  one('process_start_time_seconds', 'Start time of the process, in seconds since the epoch.', () => performance.timeOrigin / 1000)
  collect('oneloop_info', 'Versions of oneloop and Node.js.', ['version', 'node'], 'gauge', (add) => add({ version: VERSION, node: process.version }, 1))

  app.get('/metrics', { config: { isVital: true } }, async (_request, reply) => {
    reply.type(register.contentType)
    return await register.metrics()
  })
}
