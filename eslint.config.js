import neostandard from 'neostandard'

/** What the files of a room must not import: each room imports only what stands below it in CONTRIBUTING.md. */
const room = (files, forbidden, message) => ({
  files,
  rules: { 'no-restricted-imports': ['error', { patterns: [{ group: forbidden, message }] }] }
})

const FASTIFY = ['fastify', '@fastify/*', 'fastify-plugin']
/** Rooms by their height: what stands in a line may import from the lines below it. */
const TOP = ['**/cli.ts', '**/commands/*']
const SERVER = [...TOP, '**/server.ts']
const APP = [...SERVER, '**/app.ts']
const RUNNERS = [...APP, '**/routes/*', '**/plugins/*', '**/wire/*', '**/lab/*']

export default [
  ...neostandard({ ts: true, ignores: ['dist/', '.build/', '.tap/', 'node_modules/'] }),
  room(['src/sockets/!(index).ts'], [...FASTIFY, 'ws', 'node:*', './*', '../*', '!../service.ts', '!../shared', '../shared/*', '!../shared/ctime.ts'],
    'A raw service is a pure description of a protocol, and knows no other.'),
  room(['src/sockets/index.ts'], [...FASTIFY, 'ws', 'node:*', '../*', '!../service.ts'],
    'The list of the raw services.'),
  room(['src/service.ts'], [...FASTIFY, 'ws', 'node:*', ...RUNNERS],
    'What a service is stands below everything that runs.'),
  room(['src/shared/*.ts'], [...FASTIFY, 'ws', '../*'],
    'What the server, the clients and the page share imports nothing of theirs.'),
  room(['src/config/*.ts'], [...FASTIFY, 'ws', '**/traffic/*', '**/log/*', '**/clients/*', ...RUNNERS],
    'The settings know the services and nothing else.'),
  room(['src/traffic/*.ts', 'src/log/*.ts'], ['@fastify/*', 'fastify-plugin', 'ws', '**/sockets/*', '**/clients/*', ...RUNNERS],
    'Who is connected, what they may do and what is logged of it: the runners use it.'),
  room(['src/clients/*.ts'], [...FASTIFY, '**/config/*', '**/log/*', ...RUNNERS],
    'A client is a plain function that needs no server.'),
  room(['src/lab/*.ts'], [...FASTIFY, '**/sockets/*', '**/wire/*', '**/plugins/*', '**/routes/*', ...APP],
    'The lab measures and plays; a plugin runs it.'),
  room(['src/wire/*.ts'], [...FASTIFY, 'ws', '**/sockets/*', '**/clients/*', '**/plugins/*', '**/routes/*', '**/lab/*', ...APP],
    'The wire knows sockets, and no protocol.'),
  room(['src/plugins/*.ts'], ['**/sockets/*', '**/routes/*', '**/clients/*', ...APP],
    'A plugin runs what app.ts hands it.'),
  room(['src/routes/*.ts'], ['**/sockets/*', '**/wire/*', ...APP],
    'A route is one resource; app.ts lists it.'),
  room(['src/app.ts'], SERVER, 'app.ts builds; it starts nothing.'),
  room(['src/server.ts'], [...TOP, '**/clients/*'], 'The server knows no command line.'),
  room(['web/scripts/*.ts'], ['../../src/*/*', '!../../src/shared', '!../../src/shared/*'],
    'The page reads what src/shared/ holds for both sides.'),
  {
    files: ['src/**/*.ts', 'web/scripts/*.ts'],
    rules: {
      // Documented parts of Node.js and of its libraries only: their insides begin with an underscore.
      'no-underscore-dangle': ['error', { enforceInMethodNames: true, enforceInClassFields: true, allowFunctionParams: true }],
      'no-restricted-syntax': ['error',
        { selector: "MemberExpression[object.name='process'][property.name='argv']", message: 'Only cli.ts reads the arguments.' },
        { selector: "CallExpression[callee.object.name='process'][callee.property.name=/^(on|once)$/]", message: 'Only server.ts handles the process\'s signals, and cli.ts before it.' },
        { selector: "MemberExpression[object.name='process'][property.name='binding']", message: 'Documented parts of Node.js only.' },
        { selector: "CallExpression[callee.property.name='setPrototypeOf']", message: 'Documented parts of Node.js only: no object becomes one of another class.' },
        { selector: "MemberExpression[property.name='__proto__']", message: 'Documented parts of Node.js only.' },
        { selector: "AssignmentExpression[left.object.property.name='prototype']", message: 'No class of Node.js or of a library is changed.' },
        { selector: "CallExpression[callee.property.name='getOwnPropertySymbols']", message: 'Hidden symbols are not documented.' },
        { selector: "CallExpression[callee.name='setFlagsFromString']", message: 'V8\'s flags are not documented by Node.js.' }]
    }
  },
  // The entry point handles signals and arguments; the server takes the signals over.
  { files: ['src/cli.ts', 'src/server.ts'], rules: { 'no-restricted-syntax': 'off' } }
]
