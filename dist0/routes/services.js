import Type from 'typebox';
const Count = (description) => Type.Integer({ minimum: 0, description });
const ServiceRow = Type.Object({
    name: Type.String(),
    transport: Type.Enum(['http', 'websocket', 'tcp', 'udp']),
    address: Type.String({ description: 'The address that was bound' }),
    port: Type.Union([Type.Integer(), Type.Null()], { description: 'null where the service is off' }),
    path: Type.Optional(Type.String({ description: 'Of a WebSocket service' })),
    state: Type.Enum(['closed', 'open', 'busy', 'off', 'draining']),
    summary: Type.String(),
    open: Count('Connections open now; 0 for UDP'),
    total: Count('Connections, or datagrams received, since the start'),
    bytesIn: Count('Bytes received since the start'),
    bytesOut: Count('Bytes sent since the start'),
    refused: Count('Connections and datagrams turned away by a limit or a guard')
});
export async function services(app) {
    app.get('/api/services', { schema: { response: { 200: Type.Array(ServiceRow) } } }, async () => app.endpoints);
}
