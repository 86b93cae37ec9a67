/** The four ways to reach a service. Types only, so that the page's code can share them. */
export type Transport = 'http' | 'websocket' | 'tcp' | 'udp'
