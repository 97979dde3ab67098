"""Ports that no other test process is given, however many run at once on a machine.

Asking the system for "any" port is not enough: it may be given to an outgoing connection, or to another
test, before the server that is meant for it listens, and while a server that is killed is away. So each
process takes blocks of ports below the range of outgoing connections, and holds the first port of a block
for as long as it lives. No port is given twice.
"""

import socket
import threading
from collections.abc import Iterator

from local.ports import HOST, is_free

FIRST, LAST, BLOCK = 10_000, 32_768, 64
"""The system's own choice begins at 32,768 on Linux, and at 49,152 elsewhere."""

_lock = threading.Lock()
_held: list[socket.socket] = []


def free_port() -> int:
    """Return a port that is free, and that no other test is given. Raises RuntimeError when none is left."""
    with _lock:
        return next(_ports)


def _all_ports() -> Iterator[int]:
    for first in range(FIRST, LAST, BLOCK):
        if _hold(first):
            yield from filter(is_free, range(first + 1, first + BLOCK))
    raise RuntimeError(f"no block of ports is left between {FIRST} and {LAST}")


def _hold(port: int) -> bool:
    """Take a block by its first port: bound but not listening, it cannot be bound by anyone else."""
    guard = socket.socket()
    try:
        guard.bind((HOST, port))
    except OSError:
        guard.close()
        return False
    _held.append(guard)
    return True


_ports = _all_ports()
