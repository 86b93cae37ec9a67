"""Read a greeting, send one message, read the answer (blocking)."""
import socket
import sys

HOST, PORT = sys.argv[1], int(sys.argv[2])
TEXT = sys.argv[3] if len(sys.argv) > 3 else 'Hello, world'

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    greeting = sock.recv(1024).decode()
    sock.send(TEXT.encode())
    answer = sock.recv(1024).decode()

if greeting != 'Welcome to the exchange: send one message\r\n':
    sys.exit(f'expected the welcome, got {greeting!r}')
if answer != f'Received: {TEXT}\r\n':
    sys.exit(f'expected the message to be answered, got {answer!r}')
print(greeting.rstrip())
print(answer.rstrip())
