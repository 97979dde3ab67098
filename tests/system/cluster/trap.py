"""What a proxy waits for on its connections, and what becomes of the one that sends it."""

import threading
from collections.abc import Callable
from enum import Enum


class Fate(Enum):
    """What becomes of a connection that was caught."""

    CUT = "the last piece is not passed on, and the connection is cut"
    CUT_REPLY = "it is passed on, and the connection is cut when the reply comes"
    SWALLOW_REPLY = "it is passed on, and nothing that the server says comes back any more"
    LOSE = "nothing is passed on any more, either way, and neither end is told"


class Trap:
    """Waits for texts that a client sends one after the other on one connection; catches once."""

    def __init__(self, fate: Fate, *texts: bytes) -> None:
        self.fate = fate
        self.texts = texts
        self._caught = threading.Event()

    @property
    def has_caught(self) -> bool:
        """Whether a connection was caught."""
        return self._caught.is_set()

    def catch(self) -> bool:
        """Catch a connection; False when another was caught before."""
        if self.has_caught:
            return False
        self._caught.set()
        return True


class WatchedConnection:
    """One connection as a trap sees it; `current` tells which trap is set now."""

    def __init__(self, current: Callable[[], Trap | None]) -> None:
        self._current = current
        self._trap: Trap | None = None
        self._missing: list[bytes] = []
        self._tail = b""
        self._fate: Fate | None = None

    def lose(self) -> None:
        """Pass nothing on any more."""
        self._fate = Fate.LOSE

    @property
    def is_lost(self) -> bool:
        """Whether neither end hears of the other any more."""
        return self._fate is Fate.LOSE

    def to_server(self, piece: bytes) -> bytes | None:
        """Give what is to be passed on of what the client sent; None: cut."""
        trap = self._current()
        if trap is not self._trap:
            self._trap, self._missing, self._tail = trap, list(trap.texts if trap else ()), b""
        if trap and self._fate is None and self._was_all_sent(piece) and trap.catch():
            self._fate = trap.fate
        if self._fate is Fate.CUT:
            return None
        return b"" if self._fate is Fate.LOSE else piece

    def to_client(self, piece: bytes) -> bytes | None:
        """Give what is to be passed on of what the server said; None: cut."""
        if self._fate is Fate.CUT_REPLY:
            return None
        return b"" if self._fate in (Fate.SWALLOW_REPLY, Fate.LOSE) else piece

    def _was_all_sent(self, piece: bytes) -> bool:
        """Look for the texts that are still missing; one may come in several pieces."""
        sent = self._tail + piece
        while self._missing:
            before, found, after = sent.partition(self._missing[0])
            if not found:
                self._tail = before[max(0, len(before) + 1 - len(self._missing[0])) :]
                return False
            sent = after
            del self._missing[0]
        return True
