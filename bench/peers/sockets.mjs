/** The raw sockets of both Node peers: echo, time, sink and UDP echo, each as Node's manual shows it. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createServer } from 'node:net'

const HOST = '127.0.0.1'

async function listen (onConnection) {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy())
    onConnection(socket)
  })
  await once(server.listen(0, HOST), 'listening')
  return server.address().port
}

export async function listenOnAll () {
  const udp = createSocket('udp4')
  udp.on('message', (message, { port, address }) => udp.send(message, port, address))
  udp.on('error', () => {})
  await once(udp.bind(0, HOST), 'listening')
  return {
    echo: await listen((socket) => socket.pipe(socket)),
    time: await listen((socket) => socket.end(`${new Date()}\r\n`)),
    sink: await listen((socket) => socket.resume()),
    udp: udp.address().port
  }
}
