"""Tornado: a page, a WebSocket, a TCP echo, the time, and UDP by asyncio, each as its manual shows it. Prints its ports."""
import asyncio
import json
import resource
import time

from tornado.iostream import StreamClosedError
from tornado.netutil import bind_sockets
from tornado.httpserver import HTTPServer
from tornado.tcpserver import TCPServer
from tornado.web import Application, RequestHandler
from tornado.websocket import WebSocketHandler

HOST = "127.0.0.1"


class Page(RequestHandler):
    def get(self):
        self.write("Hello, world")


class EchoWebSocket(WebSocketHandler):
    def on_message(self, message):
        self.write_message(message, binary=isinstance(message, bytes))


class Echo(TCPServer):
    async def handle_stream(self, stream, address):
        stream.set_nodelay(True)
        try:
            while True:
                await stream.write(await stream.read_bytes(65536, partial=True))
        except StreamClosedError:
            pass


class Time(TCPServer):
    async def handle_stream(self, stream, address):
        try:
            await stream.write((time.ctime() + "\r\n").encode())
        except StreamClosedError:
            pass
        stream.close()


class UdpEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, address):
        self.transport.sendto(data, address)


def listen(server):
    sockets = bind_sockets(0, HOST)
    server.add_sockets(sockets)
    return sockets[0].getsockname()[1]


async def main():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    application = Application([("/", Page), ("/ws/echo", EchoWebSocket)], log_function=lambda handler: None)
    loop = asyncio.get_running_loop()
    udp, _ = await loop.create_datagram_endpoint(UdpEcho, local_addr=(HOST, 0))
    ports = {"http": listen(HTTPServer(application)), "tcp": listen(Echo()), "time": listen(Time())}
    print(json.dumps({**ports, "udp": udp.get_extra_info("sockname")[1]}), flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
