"""Send one datagram and wait for the one that comes back (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
TEXT = sys.argv[3] if len(sys.argv) > 3 else 'Hello, world'

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
    sock.settimeout(10)  # a lost datagram never comes
    sock.sendto(TEXT.encode(), (HOST, PORT))
    try:
        data, server = sock.recvfrom(4096)
    except TimeoutError:
        sys.exit('no answer within 10 seconds')

if data != TEXT.encode() or server[1] != PORT:
    sys.exit(f'expected {TEXT!r} from port {PORT}, got {data!r} from {server}')
print(f'Received {data.decode()!r}')
