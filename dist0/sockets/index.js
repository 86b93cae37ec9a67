import echoOnce from "./echo-once.js";
import echo from "./echo.js";
import exchange from "./exchange.js";
import greeting from "./greeting.js";
import listener from "./listener.js";
import sink from "./sink.js";
import time from "./time.js";
import udpEcho from "./udp-echo.js";
export const rawServices = [time, echo, echoOnce, greeting, exchange, sink, listener, udpEcho];
