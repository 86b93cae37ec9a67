/** An answer's head and body in one write. The only file that knows how Node.js keeps a head, and it finds out at the start whether this one does. */
import { IncomingMessage, ServerResponse, validateHeaderName, validateHeaderValue } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
/** Of a longer body the copy would cost more than the write that it saves. */
const MAX_BODY_BYTES = 16_384;
/**
 * Node.js writes a head with its body, and after it an empty string for the end: a writev of two, and an eighth of what a short
 * answer costs. Here all of it is in the head when the answer ends.
 */
export const sendAtOnce = (response, statusCode, { contentLength, afterHead, afterHeadOnly }) => {
    // Not one of a class of its own, as those that `inject` answers with: they keep head and body apart.
    if (response.constructor !== ServerResponse)
        return false;
    response.writeHead(statusCode, contentLength);
    const inside = response;
    inside._header = inside._header.slice(0, -2) + (response.req.method === 'HEAD' ? afterHeadOnly : afterHead);
    response.end();
    return true;
};
/** Returns undefined where the body is too long. Throws ERR_INVALID_HTTP_TOKEN and ERR_INVALID_CHAR for headers that are none. */
export function prepare(headers, body) {
    if (body.length > MAX_BODY_BYTES)
        return;
    let text = '';
    for (const [name, value] of Object.entries(headers)) {
        validateHeaderName(name);
        validateHeaderValue(name, value);
        text += `${name}: ${value}\r\n`;
    }
    // A head is written as latin1: each of these characters is a byte.
    return { contentLength: ['content-length', String(body.length)], afterHead: `${text}\r\n${body.toString('latin1')}`, afterHeadOnly: `${text}\r\n` };
}
/** Whether `send` does what it says. */
export function works(send) {
    const prepared = prepare({ x: 'y' }, Buffer.from('träge'));
    const response = new ServerResponse(new IncomingMessage(new Socket()));
    const sent = new PassThrough();
    try {
        response.assignSocket(sent);
        if (!send(response, 200, prepared))
            return false;
        return /^HTTP\/1\.1 200 OK\r\n(?:[\w-]+: [^\r\n]+\r\n)*content-length: 6\r\n(?:[\w-]+: [^\r\n]+\r\n)*x: y\r\n\r\nträge$/.test(String(sent.read())) && response.writableEnded;
    }
    catch {
        return false;
    }
}
