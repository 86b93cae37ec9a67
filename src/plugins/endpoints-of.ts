import type { Config } from '../config.ts'
import { Endpoint, type EndpointDescription } from '../endpoint.ts'

/** One endpoint for each port that the settings give a service; one that is `off` where they give none. */
export function endpointsOf (description: EndpointDescription, config: Config, setting = config.ports[description.name]): Endpoint[] {
  if (!setting) throw new Error(`no port setting for the service ${description.name}`)
  const ports = setting.ports.length > 0 ? setting.ports : [null]
  return ports.map((port) => new Endpoint(description, { variable: setting.variable, port, isSet: setting.isSet }, config.host))
}
