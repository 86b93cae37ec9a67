/** The main thread's side of the probe: starts the thread, receives its round trips, stops it. */
import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Ping, Waited } from '../shared/messages.ts'
import type { LaneTarget } from './lanes.ts'
import type { ProbePeers } from './probe-peers.ts'

export type ToProbe = 'measure' | 'measured' | 'stop'
export type FromProbe =
  | { readonly type: 'loaded' }
  | { readonly type: 'ready' }
  | { readonly type: 'ping', readonly ping: Ping }
  | { readonly type: 'peer', readonly peer: string, readonly isOpen: boolean }
  | { readonly type: 'connecting', readonly isConnecting: boolean }
  | { readonly type: 'measured', readonly waited: Waited }

/** Time for the thread to end by itself. */
const STOP_MS = 500

export interface ProbeOptions {
  readonly lanes: readonly LaneTarget[]
  readonly onPing: (ping: Ping) => void
  /** The probe adds and removes its addresses here. */
  readonly peers: ProbePeers
  readonly onError: (error: unknown) => void
}

export class Probe {
  /** Resolves once every lane was tried; rejects if the thread ends first. */
  readonly ready: Promise<unknown>
  readonly ended: Promise<unknown>
  /** Resolves with the thread's first message, after it has loaded its modules. */
  readonly #loaded: Promise<unknown>
  readonly #worker: Worker
  #onMeasured = (_waited: Waited) => {}

  /** Throws if the thread cannot be started. */
  constructor ({ lanes, onPing, peers, onError }: ProbeOptions) {
    this.#worker = new Worker(new URL(`./probe-worker${extname(import.meta.url)}`, import.meta.url), {
      workerData: lanes,
      name: 'oneloop probe'
    })
    this.#worker.on('error', onError)
    this.ended = new Promise((resolve) => { this.#worker.once('exit', resolve) })
    this.#worker.once('exit', () => peers.removeAll(this))
    this.#loaded = new Promise((resolve) => { this.#worker.once('message', resolve) })
    this.ready = new Promise((resolve, reject) => {
      this.#worker.once('exit', () => reject(new Error('the probe ended')))
      this.#worker.on('message', (message: FromProbe) => {
        switch (message.type) {
          case 'ready': return resolve(undefined)
          case 'ping': return onPing(message.ping)
          case 'connecting': return peers.connecting(this, message.isConnecting)
          case 'peer': return message.isOpen ? peers.add(this, message.peer) : peers.remove(this, message.peer)
          case 'measured': return this.#onMeasured(message.waited)
        }
      })
    })
    this.ready.catch(() => {})
  }

  /** Begins a measurement. The returned function ends it, and resolves to the slowest round trip of each lane. */
  measure (): () => Promise<Waited> {
    this.#post('measure')
    return async () => {
      this.#post('measured')
      const waited = new Promise<Waited>((resolve) => { this.#onMeasured = resolve })
      return await Promise.race([waited, this.ended.then(() => ({}))])
    }
  }

  /** Resolves once the thread is gone. */
  async stop (): Promise<void> {
    this.#post('stop')
    // On Node.js 20, terminating a thread while it loads its modules leaks their file descriptors.
    await Promise.race([this.#loaded, this.ended])
    const timer = setTimeout(() => { this.#worker.terminate().catch(() => {}) }, STOP_MS)
    await this.ended
    clearTimeout(timer)
  }

  #post (message: ToProbe): void {
    this.#worker.postMessage(message)
  }
}
