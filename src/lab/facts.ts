/** What the page shows of the process and of its services, now. */
import { getHeapStatistics } from 'node:v8'
import type { Connections } from '../traffic/connections.ts'
import type { Endpoint } from '../traffic/endpoint.ts'
import { residentMemory } from '../traffic/resources.ts'
import type { ProcessFacts, ServiceCounts } from '../shared/messages.ts'

export interface Traffic {
  readonly endpoints: readonly Endpoint[]
  readonly connections: Connections
}

/** Of every endpoint, what changes: without the probe, as the page's wire. */
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

/** Read so often at most: it cost a quarter of the page. */
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
    // Not memoryUsage(): it reads the resident memory, too.
    heapUsed: getHeapStatistics().used_heap_size,
    // A WebSocket service has no socket of its own: it listens on HTTP's.
    listening: endpoints.filter(({ transport, state }) => transport !== 'websocket' && state === 'open').reduce((sum, { addresses }) => sum + addresses.length, 0),
    connected: endpoints.reduce((sum, { open }) => sum + open, 0) - connections.probing.length
  }
}
