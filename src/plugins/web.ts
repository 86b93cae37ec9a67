/** What every HTTP answer has: security headers; and what the page is made of: templates. */
import { IncomingMessage, ServerResponse } from 'node:http'
import { Socket } from 'node:net'
import { fileURLToPath } from 'node:url'
import fastifyView from '@fastify/view'
import { Eta } from 'eta'
import fastifyPlugin from 'fastify-plugin'
import helmet, { type HelmetOptions } from 'helmet'

// From src/plugins and from dist/plugins alike.
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
  // These three mean something on HTTPS only; over HTTP a browser ignores them, with a warning in its console.
  strictTransportSecurity: false,
  crossOriginOpenerPolicy: false,
  originAgentCluster: false,
  // These four speak to Internet Explorer, Flash and filters that browsers have given up. Each header costs 3 % of a short answer.
  xDnsPrefetchControl: false,
  xDownloadOptions: false,
  xPermittedCrossDomainPolicies: false,
  xXssProtection: false
}

/** Asked once: helmet works them out anew for every request, and sets them one by one, which cost a third of an answer. */
export const securityHeaders: Readonly<Record<string, string>> = helmetHeaders()

export const web = fastifyPlugin(async function web (app) {
  app.addHook('onSend', (_request, reply, _payload, done) => {
    reply.headers(securityHeaders)
    done()
  })
  // Compiled once, except while somebody works on them: compiling was half of the page's cost.
  const production = process.env.NODE_ENV !== 'development'
  await app.register(fastifyView, { production, engine: { eta: new Eta() }, root: `${ROOT}web/templates`, viewExt: 'eta' })
})

function helmetHeaders (): Record<string, string> {
  const request = new IncomingMessage(new Socket())
  const response = new ServerResponse(request)
  helmet(HELMET)(request, response, (error) => { if (error) throw error })
  return Object.fromEntries(response.getHeaderNames().map((name) => [name, String(response.getHeader(name))]))
}
