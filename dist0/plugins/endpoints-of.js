import { Endpoint } from "../endpoint.js";
/** One endpoint for each port that the settings give a service; one that is `off` where they give none. */
export function endpointsOf(description, config, setting = config.ports[description.name]) {
    if (!setting)
        throw new Error(`no port setting for the service ${description.name}`);
    const ports = setting.ports.length > 0 ? setting.ports : [null];
    return ports.map((port) => new Endpoint(description, { variable: setting.variable, port, isSet: setting.isSet }, config.host));
}
