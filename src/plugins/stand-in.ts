/** How a class of objects stands in for `net.Socket` until one of them has to be one. */
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'

/** What of `net.Socket` does as well without its streams. */
const KEPT: ReadonlySet<string> = new Set([
  '_handle', 'remoteAddress', 'remoteFamily', 'remotePort', '_getpeername', 'localAddress', 'localFamily', 'localPort', '_getsockname',
  'setTimeout', '_onTimeout', '_unrefTimer'
])

export interface StandIn {
  /** Has it be a `net.Socket`, by its prototype and all that it has. */
  become (): Socket
}

/** Gives a prototype everything that a `net.Socket` has and it has not: whatever is asked of that has the object become one first. */
export function standIn (prototype: StandIn): void {
  for (const name of ['off', 'removeListener', 'removeAllListeners'] as const) {
    Object.defineProperty(prototype, name, { value: EventEmitter.prototype[name], writable: true, configurable: true })
  }
  for (let proto = Socket.prototype as object; proto !== EventEmitter.prototype; proto = Object.getPrototypeOf(proto) as object) {
    for (const [name, descriptor] of Object.entries(Object.getOwnPropertyDescriptors(proto))) {
      if (!KEPT.has(name) && !Object.hasOwn(prototype, name)) Object.defineProperty(prototype, name, becoming(name, descriptor))
    }
  }
  Object.setPrototypeOf(prototype, Socket.prototype)
}

function becoming (name: string, { value }: PropertyDescriptor): PropertyDescriptor {
  const get = function (this: StandIn): unknown { return Reflect.get(this.become(), name) }
  return typeof value === 'function'
    ? { value (this: StandIn, ...args: unknown[]): unknown { return Reflect.apply(get.call(this) as () => unknown, this, args) }, writable: true, configurable: true }
    : { get, set (this: StandIn, value: unknown) { Reflect.set(this.become(), name, value) }, configurable: true }
}
