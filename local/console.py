"""What the developer sees: every line behind the name of the process that wrote it.

A terminal that is paused, or a pipe that nobody reads, must hold up neither the services nor the end of
the run. So lines wait in a bounded backlog, and only what fits is written.
"""

import os
import select
import time
from collections import deque

_COLOURS = (36, 33, 32, 35, 34, 96, 93)
_NAME_WIDTH = 8


class Console:
    """Writes lines to a file descriptor without ever waiting for its reader."""

    def __init__(self, fd: int, *, colour: bool, backlog: int = 5000) -> None:
        self._fd = fd
        self._colour = colour
        self._limit = backlog
        self._backlog: deque[bytes] = deque()
        self._lost = 0
        self._colours: dict[str, int] = {}

    def line(self, name: str, text: bytes) -> None:
        """Show one line of a process's output."""
        label = f"{name:<{_NAME_WIDTH}} |"
        if self._colour:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            label = f"\033[{colour}m{label}\033[0m"
        self._add(label.encode() + b" " + text + b"\n")

    def say(self, text: str) -> None:
        """Show lines of our own."""
        self._add(f"{text}\n".encode())

    def flush(self, seconds: float = 0.0) -> None:
        """Write what the reader takes now, or within `seconds`."""
        deadline = time.monotonic() + seconds
        while self._backlog:
            if not select.select([], [self._fd], [], max(0.0, deadline - time.monotonic()))[1]:
                return
            chunk = self._backlog.popleft()
            try:
                written = os.write(self._fd, chunk[: select.PIPE_BUF])  # so much fits when select says so
            except OSError:
                self._backlog.clear()  # the reader has gone; the services need not know
                return
            if written < len(chunk):
                self._backlog.appendleft(chunk[written:])

    def _add(self, line: bytes) -> None:
        if len(self._backlog) >= self._limit:
            self._lost += 1
            return
        if self._lost:
            self._backlog.append(f"... {self._lost} lines are not shown: nobody read them in time\n".encode())
            self._lost = 0
        self._backlog.append(line)
