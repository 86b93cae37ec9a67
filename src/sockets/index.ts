/** Every raw service. Port settings, rows on the page and in the README, help and checks follow from this list. */
import type { RawService } from '../service.ts'
import echoOnce from './echo-once.ts'
import echo from './echo.ts'
import exchange from './exchange.ts'
import greeting from './greeting.ts'
import listener from './listener.ts'
import sink from './sink.ts'
import time from './time.ts'
import udpEcho from './udp-echo.ts'

export const rawServices: readonly RawService[] = [time, echo, echoOnce, greeting, exchange, sink, listener, udpEcho]
