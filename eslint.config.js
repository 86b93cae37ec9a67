import neostandard from 'neostandard'

/** What a file of a layer must not import: each layer imports only what stands to its right in CONTRIBUTING.md. */
const layer = (files, forbidden, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ group: forbidden, message }] }] }
})

const FASTIFY = ['fastify', '@fastify/*', 'fastify-plugin']

export default [
  ...neostandard({ ts: true, ignores: ['dist/', '.tap/', 'node_modules/'] }),
  layer(['src/sockets/*.ts'], [...FASTIFY, 'ws', 'node:net', 'node:dgram', 'node:http', '../*', '!../service.ts', '!../ctime.ts'],
    'A raw service is a pure description of a protocol: it imports service.ts and nothing that runs.'),
  layer(['src/sockets/!(index).ts'], [...FASTIFY, 'ws', 'node:*', './*', '../*', '!../service.ts', '!../ctime.ts'],
    'A raw service is a pure description of a protocol, and knows no other.'),
  layer(['src/service.ts', 'src/feed.ts', 'src/endpoint.ts', 'src/messages.ts', 'src/facts.ts'], [...FASTIFY, '**/plugins/*', '**/routes/*', '**/sockets/*', '**/config.ts', '**/app.ts', '**/server.ts'],
    'What is described here stands below everything that runs.'),
  layer(['src/config.ts'], ['**/plugins/*', '**/routes/*', '**/app.ts', '**/server.ts', '**/clients/*', '**/commands/*'],
    'The settings know the services and nothing else.'),
  layer(['src/plugins/*.ts'], ['**/sockets/*', '**/routes/*', '**/app.ts', '**/server.ts', '**/clients/*', '**/commands/*'],
    'A plugin runs what app.ts hands it.'),
  layer(['src/routes/*.ts'], ['**/sockets/*', '**/app.ts', '**/server.ts', '**/commands/*'],
    'A route is one resource; app.ts lists it.'),
  layer(['src/clients/*.ts'], [...FASTIFY, '**/plugins/*', '**/routes/*', '**/app.ts', '**/server.ts', '**/commands/*', '**/config.ts'],
    'A client is a plain function that needs no server.'),
  layer(['src/lab/*.ts'], [...FASTIFY, '**/plugins/*', '**/routes/*', '**/sockets/*', '**/app.ts', '**/server.ts', '**/commands/*', '**/config.ts'],
    'The lab measures and plays; a plugin runs it.'),
  layer(['web/scripts/*.ts'], ['../../src/*', '!../../src/messages.ts', '!../../src/feed.ts', '!../../src/transport.ts', '!../../src/names.ts', '!../../src/bytes.ts'],
    'The page shares with the server types, and names and sizes as people read them.'),
  layer(['src/app.ts'], ['**/server.ts', '**/commands/*', '**/cli.ts', '**/program.ts'], 'app.ts builds; it starts nothing.'),
  layer(['src/server.ts'], ['**/commands/*', '**/cli.ts', '**/program.ts', '**/clients/*'], 'The server knows no command line.'),
  {
    files: ['src/**/*.ts'],
    rules: {
      'no-restricted-syntax': ['error',
        { selector: "MemberExpression[object.name='process'][property.name='argv']", message: 'Only cli.ts reads the arguments.' },
        { selector: "CallExpression[callee.object.name='process'][callee.property.name=/^(on|once)$/]", message: 'Only server.ts touches the process\'s signals.' }]
    }
  },
  { files: ['src/cli.ts', 'src/server.ts'], rules: { 'no-restricted-syntax': 'off' } }
]
