/** What every HTTP answer has: security headers; and what the page is made of: templates. */
import { fileURLToPath } from 'node:url'
import fastifyHelmet from '@fastify/helmet'
import fastifyView from '@fastify/view'
import { Eta } from 'eta'
import fastifyPlugin from 'fastify-plugin'

// From src/plugins and from dist/plugins alike.
const ROOT = fileURLToPath(new URL('../../', import.meta.url))

export const web = fastifyPlugin(async function web (app) {
  await app.register(fastifyHelmet, {
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
    originAgentCluster: false
  })
  await app.register(fastifyView, { engine: { eta: new Eta({ cache: true }) }, root: `${ROOT}web/templates`, viewExt: 'eta' })
})
