"""Send a text and receive as many bytes back (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
TEXT = sys.argv[3] if len(sys.argv) > 3 else 'Hello, world'

message = TEXT.encode()
received = b''
with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    sock.sendall(message)

    # TCP may deliver the echo in any number of pieces.
    while len(received) < len(message):
        data = sock.recv(1024)
        if not data:
            break
        received += data

if received != message:
    sys.exit(f'expected {message!r}, got {received!r}')
print(f'Received {received.decode()!r}')
