"""Send the same line ten million times, then ask what arrived (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000_000
LINE = b'Hello Python\n'
BATCH = 1000

batches, lines = divmod(COUNT, BATCH)
answer = b''
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    for _ in range(batches):
        sock.sendall(LINE * BATCH)
    sock.sendall(LINE * lines)
    sock.shutdown(socket.SHUT_WR)  # no more data, but we await an answer
    while data := sock.recv(1024):
        answer += data

expected = f'All Data Received: {COUNT * len(LINE)} bytes\r\n'
if answer.decode() != expected:
    sys.exit(f'expected {expected!r}, got {answer!r}')
print(answer.decode().rstrip())
