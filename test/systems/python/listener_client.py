"""Send one datagram and expect nothing back."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
TEXT = sys.argv[3] if len(sys.argv) > 3 else 'Hello, world'

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(10)
    sent = sock.sendto(TEXT.encode(), (HOST, PORT))

if sent != len(TEXT.encode()):
    sys.exit(f'expected to send {len(TEXT.encode())} bytes, sent {sent}')
print(f'Sent {TEXT!r}')
