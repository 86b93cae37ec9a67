"""Await several datagrams at once (non-blocking, selectors)."""
import selectors
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
SOCKETS = int(sys.argv[3]) if len(sys.argv) > 3 else 3

selector = selectors.DefaultSelector()
messages = [f'Message of socket {n + 1}'.encode() for n in range(SOCKETS)]
received = [b''] * SOCKETS
for n in range(SOCKETS):
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.sendto(messages[n], (HOST, PORT))
    selector.register(sock, selectors.EVENT_READ, n)

while selector.get_map():
    ready = selector.select(timeout=10)
    if not ready:
        sys.exit('no answer within 10 seconds')
    for (sock, _, _, n), _ in ready:
        received[n], _ = sock.recvfrom(4096)
        selector.unregister(sock)
        sock.close()

if received != messages:
    sys.exit(f'expected {messages}, got {received}')
for data in received:
    print(f'Received {data.decode()!r}')
