/** The current facts and counters that the page shows. */
import { getHeapStatistics } from 'node:v8'
import type { Connections } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { residentMemory } from '../traffic/resources.ts'
import type { ProcessFacts, ServiceCounts } from '../shared/messages.ts'

export interface Traffic {
  readonly endpoints: readonly Endpoint[]
  readonly connections: Connections
}

/** The counters of every endpoint, without the probe's traffic. */
export function counts ({ endpoints, connections }: Traffic): ServiceCounts[] {
  const { probing } = connections
  return endpoints.map((endpoint) => {
    const { name, port, state, location: { hadAt }, open, total, bytesIn, bytesOut, refused, probe } = endpoint
    const counts = { name, port, state, ...(hadAt !== undefined && { hadAt }), open, total: total - probe.total, bytesIn: bytesIn - probe.bytesIn, bytesOut: bytesOut - probe.bytesOut, refused }
    for (const connection of probing) {
      if (connection.endpoint !== endpoint) continue
      counts.open--
      counts.total--
      counts.bytesIn -= connection.bytesIn
      counts.bytesOut -= connection.bytesOut
    }
    return counts
  })
}

const MEMORY_MS = 100
let rss = 0
let readAt = -Infinity

/** Cached, because reading it is a large part of rendering the page. */
function recentMemory (): number {
  const now = performance.now()
  if (now - readAt >= MEMORY_MS) {
    rss = residentMemory() ?? rss
    readAt = now
  }
  return rss
}

export function facts ({ endpoints, connections }: Traffic): ProcessFacts {
  return {
    uptimeS: Math.floor(process.uptime()),
    rss: recentMemory(),
    // Not memoryUsage(): it also reads the resident memory.
    heapUsed: getHeapStatistics().used_heap_size,
    // A WebSocket service has no socket of its own: HTTP listens for it.
    listening: endpoints.filter(({ transport, state }) => transport !== 'websocket' && state === 'open').reduce((sum, { addresses }) => sum + addresses.length, 0),
    connected: endpoints.reduce((sum, { open }) => sum + open, 0) - connections.probing.length
  }
}
