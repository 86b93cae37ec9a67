/** Adds the security headers to every HTTP answer, and registers the page's templates. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import fastifyView from '@fastify/view'
import { Eta } from 'eta'
import fastifyPlugin from 'fastify-plugin'
import helmet, { type HelmetOptions } from 'helmet'

// The path is right from src/plugins and dist/plugins.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export const HELMET: HelmetOptions = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      'default-src': ["'none'"],
      'script-src': ["'self'"],
      'style-src': ["'self'"],
      'img-src': ["'self'"],
      'connect-src': ["'self'"],
      'base-uri': ["'none'"],
      'form-action': ["'none'"],
      'frame-ancestors': ["'none'"]
    }
  },
  // These three have an effect only on HTTPS; over HTTP, browsers ignore them and warn in the console.
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  // These four are for Internet Explorer, Flash and filters that browsers have removed.
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false
}

/** Computed once: helmet would compute them for every request. */
export const securityHeaders: Readonly<Record<string, string>> = helmetHeaders()

export const web = fastifyPlugin(async function web (app) {
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.headers(securityHeaders)
    done()
  })
  // Templates are compiled once, except in development.
  const production = process.env.NODE_ENV !== 'development'
  await app.register(fastifyView, { production, engine: { eta: new Eta() }, root: `${ROOT}web/templates`, viewExt: 'eta' })
})

function helmetHeaders (): Record<string, string> {
  const request = new IncomingMessage(new Socket())
  const response = new ServerResponse(request)
  helmet(HELMET)(request, response, (error) => { if (error) throw error })
  return Object.fromEntries(response.getHeaderNames().map((name) => [name, String(response.getHeader(name))]))
}
