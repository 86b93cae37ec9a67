import { errorCodes } from 'fastify';
/**
 * A content-type parser. A body of nested JSON, parsed, held the loop for half a second; one that came in chunks of a byte, kept
 * until it was whole, for 15 to 35 ms.
 * @returns fails with FST_ERR_CTP_BODY_TOO_LARGE (413, after which Fastify closes the connection) or with the request's own error (400).
 */
export const discardBody = (maxBytes) => (request, payload, done) => {
    let bytes = 0;
    function settle(error) {
        payload.off('data', onData).off('end', onEnd).off('error', onError);
        done(error);
    }
    const onEnd = () => settle(null);
    // The client's doing: it went away, or what it sent is no body.
    const onError = (error) => settle(Object.assign(error, { statusCode: 400 }));
    function onData(chunk) {
        bytes += chunk.length;
        if (bytes > maxBytes)
            settle(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    }
    if (Number(request.headers['content-length']) > maxBytes)
        return done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    payload.on('data', onData).on('end', onEnd).on('error', onError);
};
