"""What a process does when the database allows no more connections: wait for its turn, or leave it to others.

Those who refresh must get theirs whatever web instances and clients do. They try again, and say through Redis
that they need room; web instances open no connection meanwhile, and theirs are open for seconds only.
"""

import random
import re
import time
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from prices.errors import DatabaseFullError
from prices.runtime.bounds import seconds_left

T = TypeVar("T")

WAIT_SECONDS: Final = 20.0
"""How long those who refresh try again: longer than a web instance holds a connection."""
PAUSES: Final = (0.05, 0.25)
REST_SECONDS: Final = (0.5, 1.5)
"""How long a web process that was refused opens no connection, so that refusals cost the server little."""
FULL: Final = re.compile(
    "too many (clients|connections)|connection slots are reserved"  # PostgreSQL
    "|no more connections allowed|max client connections",  # PgBouncer, Supavisor
    re.IGNORECASE,
)
"""How servers say it. Of a refused connection libpq gives the message alone, without its SQLSTATE (53300)."""


class Turns(Protocol):
    """How a process opens connections, and for how many seconds it keeps one."""

    keeps_seconds: float

    def open(self, connect: Callable[[], T]) -> T:
        """Open a connection. Raises DatabaseFullError, or what `connect` raises."""
        ...


class Patient:
    """Tries again for a while, and asks for room: for those who refresh, and who look after that."""

    keeps_seconds = 60.0

    def __init__(self, ask_for_room: Callable[[], None] = lambda: None) -> None:
        self._ask_for_room = ask_for_room

    def open(self, connect: Callable[[], T]) -> T:
        """Open a connection as soon as one can be had, within the time that who asks has."""
        until = time.monotonic() + min(WAIT_SECONDS, seconds_left())
        while True:
            try:
                return connect()
            except Exception as error:
                if not FULL.search(str(error)):
                    raise
                if time.monotonic() >= until:
                    raise _full() from error
            self._ask_for_room()
            time.sleep(random.uniform(*PAUSES))


class Yielding:
    """Leaves what is free to those who refresh when they need it: for web processes."""

    keeps_seconds = 3.0

    def __init__(self, is_room_wanted: Callable[[], bool]) -> None:
        self._is_room_wanted = is_room_wanted
        self._rests_until = 0.0

    def open(self, connect: Callable[[], T]) -> T:
        """Open a connection, unless those who refresh need it more or one was refused just now."""
        if time.monotonic() < self._rests_until or self._is_room_wanted():
            raise _full()
        try:
            return connect()
        except Exception as error:
            if not FULL.search(str(error)):
                raise
            self._rests_until = time.monotonic() + random.uniform(*REST_SECONDS)
            raise _full() from error


def _full() -> DatabaseFullError:
    return DatabaseFullError("the database allows no more connections at the moment")
