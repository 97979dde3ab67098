"""Time as a process feels it, handed in so that tests can make it.

What a cluster agrees on is never told by this clock but by the database's and Redis's own.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Clock(Protocol):
    """Measures spans of time in this process, and does things in the background meanwhile."""

    def monotonic(self) -> float:
        """Give seconds since some start; they go on while the process is stopped."""
        ...

    def periodically(self, seconds: float, act: Callable[[], bool]) -> AbstractContextManager[None]:
        """Call `act` every so many seconds while a block runs, until it gives False."""
        ...


class SystemClock:
    """The machine's clock, and a thread for what happens in the background."""

    def monotonic(self) -> float:
        """Give the system's monotonic seconds."""
        return time.monotonic()

    @contextmanager
    def periodically(self, seconds: float, act: Callable[[], bool]) -> Iterator[None]:
        """Call `act` in a thread that ends with the block."""
        stopped = threading.Event()

        def repeat() -> None:
            while not stopped.wait(seconds) and act():
                pass

        thread = threading.Thread(target=repeat, name="periodically", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join(timeout=1)
