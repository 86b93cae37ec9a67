/** Finds a oneloop that is already running. */
import { formatAddress, reachable } from '../shared/address.ts'
import { get } from './http.ts'

const ANSWER_MS = 1000

/** The page's URL at the first of these addresses and ports where oneloop answers; undefined if none does. */
export async function findRunning (addresses: readonly string[], ports: readonly number[]): Promise<string | undefined> {
  const places = addresses.flatMap((address) => ports.filter((port) => port !== 0).map((port) => ({ host: reachable(address), port })))
  const found = await Promise.all(places.map(async (place) => await isOneloop(place) ? `http://${formatAddress(place.host, place.port)}/` : undefined))
  return found.find((url) => url !== undefined)
}

async function isOneloop (place: { readonly host: string, readonly port: number }): Promise<boolean> {
  try {
    const services: unknown = JSON.parse((await get(place, '/api/services', ANSWER_MS)).body)
    return Array.isArray(services) && services.some((service: { name?: unknown } | null) => service?.name === 'ws-feed')
  } catch {
    // Nobody answered, or another program did.
    return false
  }
}
