/** One port number on several addresses: on all of them, or on none. */
import type { Host } from '../config/hosts.ts'
import type { BindError } from '../traffic/endpoint.ts'

export interface Opened {
  readonly port: number
  /** Stops listening; resolves when the port is free again. */
  close (): Promise<void>
  /** Looks for addresses that have come or gone. */
  refresh? (): Promise<void>
}

/** Opens one address; rejects with Node's error (EADDRINUSE, EACCES, …). */
export type Open = (address: string, port: number) => Promise<Opened>

export interface OpenedPort {
  readonly port: number
  readonly addresses: readonly string[]
  readonly opened: readonly Opened[]
}

const UNAVAILABLE = ['EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL']
/** How many free numbers of the first address are tried on the others. */
const ATTEMPTS = 20

/** @param port 0 for any number that is free on every address. Rejects with the first error, which names its address. */
export async function openPort (hosts: readonly Host[], port: number, open: Open): Promise<OpenedPort> {
  for (let attempt = 1; ; attempt++) {
    const opened: Opened[] = []
    const addresses: string[] = []
    try {
      for (const { address, isOptional } of hosts) {
        try {
          opened.push(await open(address, opened[0]?.port ?? port))
          addresses.push(address)
        } catch (error) {
          const { code = '' } = error as BindError
          if (!isOptional || !UNAVAILABLE.includes(code)) throw Object.assign(error as BindError, { address })
        }
      }
      return { port: opened[0]?.port ?? port, addresses, opened }
    } catch (error) {
      await Promise.all(opened.map((one) => one.close()))
      if (port !== 0 || opened.length === 0 || (error as BindError).code !== 'EADDRINUSE' || attempt === ATTEMPTS) throw error
    }
  }
}
