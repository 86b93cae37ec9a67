/** Binds for datagrams: one `dgram.Socket` for each address, so that an answer comes from the address that was asked. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram'
import { isIPv6 } from 'node:net'
import { DEFAULT_HOSTS, ownName, withOwnName } from '../config/hosts.ts'
import { interfaceAddresses, isWildcard } from './addresses.ts'
import { openPort, type Open } from './ports.ts'

export interface Mailbox {
  readonly onMessage: (socket: Socket, message: Buffer, from: RemoteInfo) => void
  readonly onError: (error: NodeJS.ErrnoException) => void
}

export function bind (mailbox: Mailbox): Open {
  const one: Open = async (address, port) => {
    const family = isIPv6(address) ? 6 : 4
    // Peers are addresses, which need no look-up.
    const socket = createSocket({ type: `udp${family}`, lookup: (host, _options, done) => done(null, host, family) })
    await new Promise<void>((resolve, reject) => {
      socket.once('error', (error) => {
        socket.close()
        reject(error)
      })
      // Exclusive: with SO_REUSEADDR, a second process could silently take the datagrams.
      socket.bind({ address, port, exclusive: true }, () => {
        socket.removeAllListeners('error')
        resolve()
      })
    })
    socket.on('error', mailbox.onError).on('message', (message, from) => mailbox.onMessage(socket, message, from))
    return {
      port: socket.address().port,
      close: () => new Promise((resolve) => { socket.close(resolve) })
    }
  }

  return async (address, port) => isWildcard(address) ? await bindInterfaces(address, port, one, mailbox) : await one(address, port)
}

/** Binds every address of the machine's interfaces; `refresh` follows their changes. */
async function bindInterfaces (wildcard: string, wanted: number, one: Open, { onError }: Mailbox) {
  const loopback = withOwnName(DEFAULT_HOSTS, await ownName()).map(({ address }) => address)
  // An interface may vanish between the list and the bind.
  const hosts = interfaceAddresses(wildcard, loopback).map((address) => ({ address, isOptional: true }))
  const { port, addresses, opened } = await openPort(hosts, wanted, one)
  const sockets = new Map(addresses.map((address, index) => [address, opened[index]]))
  let isClosed = false
  return {
    port,
    async refresh () {
      let now: string[]
      try {
        now = interfaceAddresses(wildcard, loopback)
      } catch (error) {
        // Listing the interfaces fails without a free descriptor.
        return onError(error as Error)
      }
      for (const [address, socket] of sockets) {
        if (now.includes(address)) continue
        sockets.delete(address)
        await socket?.close()
      }
      for (const address of now) {
        if (isClosed || sockets.has(address)) continue
        const socket = await one(address, port).catch(onError)
        if (socket && isClosed) await socket.close()
        else if (socket) sockets.set(address, socket)
      }
    },
    async close () {
      isClosed = true
      const all = [...sockets.values()]
      sockets.clear()
      await Promise.all(all.map((socket) => socket?.close()))
    }
  }
}
