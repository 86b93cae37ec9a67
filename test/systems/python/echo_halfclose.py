"""Send, say "no more" with shutdown(), and read to the end (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])

message = b'Hello, world' * 5000
received = b''
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    sock.sendall(message)
    sock.shutdown(socket.SHUT_WR)  # closes our half; we can still read
    while data := sock.recv(1024):
        received += data

if received != message:
    sys.exit(f'expected {len(message)} bytes back, got {len(received)}')
print(f'Received {len(received)} bytes and the end of the stream')
