"""Send a text, read 16 bytes at a time until the end (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
TEXT = sys.argv[3] if len(sys.argv) > 3 else 'Hello, world'

message = TEXT.encode('ascii')
received = b''
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    sock.sendall(message)
    while data := sock.recv(16):
        received += data

if received != message[:16]:
    sys.exit(f'expected {message[:16]!r}, got {received!r}')
print(f'Received {received.decode()!r}')
