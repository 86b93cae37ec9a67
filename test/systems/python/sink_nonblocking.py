"""Send the same line ten million times (non-blocking, partial sends)."""
import select
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000_000
LINE = b'Hello Python\n'
BATCH = memoryview(LINE * 100_000)  # more than a socket takes at once

unsent = COUNT * len(LINE)
answer = b''
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.setblocking(False)
    sock.connect_ex((HOST, PORT))  # only begins to connect
    start = 0
    while unsent > 0:
        if not select.select([], [sock], [], 10)[1]:
            sys.exit('the server took nothing for 10 seconds')
        sent = sock.send(BATCH[start:start + unsent])
        unsent -= sent
        start = (start + sent) % len(BATCH)
    sock.shutdown(socket.SHUT_WR)
    while select.select([sock], [], [], 10)[0]:
        data = sock.recv(1024)
        if not data:
            break
        answer += data

expected = f'All Data Received: {COUNT * len(LINE)} bytes\r\n'
if answer.decode() != expected:
    sys.exit(f'expected {expected!r}, got {answer!r}')
print(answer.decode().rstrip())
