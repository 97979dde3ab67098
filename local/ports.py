"""Which ports to listen on, and whether they can be had."""

import errno
import os
import socket

from local.errors import LocalError

HOST = "127.0.0.1"


def chosen_port(variable: str, default: int) -> int:
    """Return the port that the environment variable names; raises LocalError where it names none."""
    text = os.environ.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise LocalError(f"{variable}={text} is no port: choose a number from 1 to 65535.")
    return int(text)


def require_free(port: int, *, purpose: str, hint: str) -> None:
    """Raise LocalError, saying what wanted the port and how to choose another, unless it can be had."""
    try:
        free = is_free(port)
    except PermissionError:
        raise LocalError(f"port {port}, for {purpose}, is not open to this user. Try: {hint}") from None
    if not free:
        raise LocalError(f"port {port}, for {purpose}, is busy. Choose another: {hint}")


def is_free(port: int) -> bool:
    """Tell whether nobody listens on the port; raises PermissionError where we may not either."""
    if answers(port):  # macOS lets us bind beside one who listens on all addresses
        return False
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # closed connections linger for a minute
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
    return True


def free_port() -> int:
    """Return a port that is free at this moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def answers(port: int) -> bool:
    """Tell whether someone listens on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((HOST, port)) == 0
