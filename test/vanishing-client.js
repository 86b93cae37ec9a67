/** The client that a test makes vanish: it opens a conversation of every kind, and then prints `ready`. */
import { connect } from 'node:net'
import { WebSocket } from 'ws'

const [host, http, echo] = process.argv.slice(2)

/** Resolves once the socket is `connected`, has `sent` the text, or was `answered`. */
function open (port, text, until) {
  return new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true }, () => {
      socket.write(text, () => { if (until === 'sent') resolve() })
      if (until === 'connected') resolve()
    })
    socket.on('error', () => {})
    if (until === 'answered') socket.once('data', resolve)
  })
}

/** Opens a WebSocket, and resolves after its first ping. */
function openWebSocket () {
  const socket = new WebSocket(`ws://${host}:${http}/ws/echo`)
  socket.on('error', () => {})
  return new Promise((resolve) => { socket.once('ping', resolve) })
}

await Promise.all([
  openWebSocket(),
  open(echo, 'Hello', 'answered'),
  // Sends more than the server takes, and reads no answers.
  open(echo, Buffer.alloc(32 * 1024 * 1024), 'connected'),
  open(http, 'GET /healthz HTTP/1.1\r\nHost: oneloop\r\n\r\n', 'answered'),
  open(http, 'GET / HTTP/1.1\r\nHost: one', 'sent'),
  open(http, 'POST /api/lab/wait HTTP/1.1\r\nHost: oneloop\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n\r\n{', 'sent')
])
console.log('ready')
