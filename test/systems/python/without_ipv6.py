"""Run a program as if the machine had no IPv6 (seccomp; exit 77: cannot)."""
import ctypes
import errno
import os
import platform
import socket
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, FILTER_MODE = 22, 38, 2
LOAD, IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, FAIL = 0x7fff0000, 0x00050000 | errno.EAFNOSUPPORT
# AUDIT_ARCH and the number of socket(2) by machine.
MACHINES = {'x86_64': (0xc000003e, 41), 'aarch64': (0xc00000b7, 198)}


def cannot(reason):
    print(f'without_ipv6.py: {reason}', file=sys.stderr)
    sys.exit(77)


def forbid_ipv6():
    """Make socket(AF_INET6, ...) fail for this process and its children."""
    if sys.platform != 'linux' or platform.machine() not in MACHINES:
        cannot(f'not for {sys.platform} on {platform.machine()}')
    arch, socket_call = MACHINES[platform.machine()]
    steps = [  # operation, steps to skip if equal, else, value
        (LOAD, 0, 0, 4), (IF_EQUAL, 0, 5, arch),
        (LOAD, 0, 0, 0), (IF_EQUAL, 0, 3, socket_call),
        (LOAD, 0, 0, 16), (IF_EQUAL, 0, 1, socket.AF_INET6),  # 1st argument
        (RETURN, 0, 0, FAIL), (RETURN, 0, 0, ALLOW)]
    code = ctypes.create_string_buffer(
        b''.join(struct.pack('=HBBI', *step) for step in steps))
    program = struct.pack('@HP', len(steps), ctypes.addressof(code))
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int] + [ctypes.c_void_p] * 4
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
            or prctl(PR_SET_SECCOMP, FILTER_MODE, program, 0, 0)):
        cannot(f'seccomp refused: {os.strerror(ctypes.get_errno())}')


if __name__ == '__main__':
    if len(sys.argv) < 2:
        sys.exit('usage: without_ipv6.py PROGRAM [ARGUMENT ...]')
    forbid_ipv6()
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            cannot(f'socket(AF_INET6) fails otherwise: {error}')
    else:
        cannot('the filter has no effect')
    os.execvp(sys.argv[1], sys.argv[1:])
