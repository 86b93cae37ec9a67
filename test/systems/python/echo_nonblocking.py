"""Keep several echo connections busy at once (non-blocking, selectors)."""
import selectors
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
CONNECTIONS = int(sys.argv[3]) if len(sys.argv) > 3 else 3
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

selector = selectors.DefaultSelector()
messages = [f'Message of connection {n + 1}'.encode()
            for n in range(CONNECTIONS)]
unsent = list(messages)
received = [b''] * CONNECTIONS
for n in range(CONNECTIONS):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    sock.setblocking(False)
    sock.connect_ex((HOST, PORT))  # only begins to connect
    selector.register(sock, READ | WRITE, n)

while selector.get_map():
    ready = selector.select(timeout=10)
    for (sock, _, _, n), events in ready:
        if events & WRITE:
            sent = sock.send(unsent[n][:5])
            unsent[n] = unsent[n][sent:]
            if not unsent[n]:
                selector.modify(sock, READ, n)
        if events & READ:
            data = sock.recv(1024)
            received[n] += data
            if not data or len(received[n]) >= len(messages[n]):
                selector.unregister(sock)
                sock.close()
    if not ready or (not selector.get_map() and received != messages):
        sys.exit(f'expected {messages}, got {received}')

for text in received:
    print(f'Received {text.decode()!r}')
