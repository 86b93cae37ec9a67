"""Ask a server for the time: connect, and it tells (blocking)."""
import socket
import sys
import time

HOST, PORT = sys.argv[1], int(sys.argv[2])

with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
    sock.settimeout(10)
    sock.connect((HOST, PORT))
    answer = sock.recv(1024).decode('ascii')
    rest = sock.recv(1024)

if rest != b'' or not answer.endswith('\r\n'):
    sys.exit(f'expected one line and the end, got {answer!r} and {rest!r}')
text = answer.removesuffix('\r\n')
try:
    spelled = time.asctime(time.strptime(text, '%a %b %d %H:%M:%S %Y'))
except ValueError:
    spelled = None
if text != spelled:
    sys.exit(f'expected a time as ctime() writes it, got {text!r}')
print(f'The time got from the server is {text}')
