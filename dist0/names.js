export const PROTOCOLS = { http: 'HTTP', websocket: 'WebSocket', tcp: 'TCP', udp: 'UDP' };
export const LESSONS = { block: 'Block', wait: 'Wait', worker: 'Worker' };
