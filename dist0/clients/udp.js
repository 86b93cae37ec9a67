/** The client of the UDP services. */
import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { explain, timedOut } from "./client-error.js";
/**
 * Sends one datagram. Resolves to the first answer, or, without `isAnswered`, to nothing once it is sent.
 * Rejects with a ClientError: a closed port is told of by ICMP (ECONNREFUSED), anything else by silence.
 */
export async function sendDatagram(target, message, { timeoutMs, isAnswered = true }) {
    // IPv4 first: a UDP client cannot tell that nobody listens on the other family.
    const { address, family } = await lookup(target.host, { order: 'ipv4first' }).catch((error) => { throw explain(error, 'cannot send to', target); });
    const socket = createSocket(family === 6 ? 'udp6' : 'udp4');
    let timer;
    try {
        return await new Promise((resolve, reject) => {
            const fail = (error) => { if (error)
                reject(explain(error, 'cannot send to', target)); };
            socket.on('error', fail);
            socket.on('message', resolve);
            timer = setTimeout(() => reject(timedOut(target, timeoutMs)), timeoutMs);
            socket.connect(target.port, address, () => {
                socket.send(message, (error) => {
                    if (error)
                        fail(error);
                    else if (!isAnswered)
                        resolve(undefined);
                });
            });
        });
    }
    finally {
        clearTimeout(timer);
        socket.close();
    }
}
