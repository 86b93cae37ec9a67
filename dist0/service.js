/** What a service is, and all it may touch: a pure description of a protocol that knows no server. */
export function defineTcpService(service) {
    return { transport: 'tcp', ...service };
}
export function defineUdpService(service) {
    return { transport: 'udp', ...service };
}
export function defineWebSocketService(service) {
    return { transport: 'websocket', ...service };
}
