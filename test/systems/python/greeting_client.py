"""Connect and print what the server says first (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])

with socket.socket() as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    greeting = sock.recv(1024)
    rest = sock.recv(1024)

if greeting != b'Thank you for connecting with the socket' or rest != b'':
    sys.exit(f'expected the greeting and the end, got {greeting + rest!r}')
print(greeting.decode())
