/** The answer to bytes that are no HTTP request, or not in time: no request exists that a route could answer. */
import { STATUS_CODES } from 'node:http';
const ANSWERS = {
    HPE_HEADER_OVERFLOW: [431, 'ERR_HTTP_MAX_HEADER_BYTES', 'The request\'s headers are larger than HTTP_MAX_HEADER_BYTES'],
    HPE_CHUNK_EXTENSIONS_OVERFLOW: [413, 'ERR_HTTP_CHUNK_EXTENSIONS', 'The chunk extensions are too large'],
    ERR_HTTP_REQUEST_TIMEOUT: [408, 'ERR_HTTP_TIMEOUT', 'The request did not arrive in time: HTTP_HEADERS_MS, HTTP_REQUEST_MS']
};
export function answerBrokenRequest(error, socket) {
    if (error.code === 'ECONNRESET' || !socket.writable) {
        socket.destroy();
        return;
    }
    const [statusCode, code, message] = ANSWERS[error.code ?? ''] ?? [400, 'ERR_HTTP_SYNTAX', `This is no HTTP/1.1 request: ${error.code}`];
    const body = JSON.stringify({ statusCode, error: STATUS_CODES[statusCode], code, message });
    socket.end(`HTTP/1.1 ${statusCode} ${STATUS_CODES[statusCode]}\r\nConnection: close\r\nContent-Type: application/json\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    socket.destroySoon();
}
