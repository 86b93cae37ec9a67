import { unmapped } from "../address.js";
/** The remote end of a socket; undefined once the connection is gone. */
export function peerOf(socket) {
    const { remoteAddress, remotePort } = socket;
    return remoteAddress === undefined || remotePort === undefined
        ? undefined
        : { address: unmapped(remoteAddress), port: remotePort };
}
