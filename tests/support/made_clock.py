"""A clock that tests move: what happens in the background happens when they let time pass."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(eq=False)
class _Repeated:
    seconds: float
    due: float
    act: Callable[[], bool]


class MadeClock:
    """Time as a test makes it, for one process."""

    def __init__(self) -> None:
        self.now = 1000.0
        self._repeated: list[_Repeated] = []

    def monotonic(self) -> float:
        return self.now

    @contextmanager
    def periodically(self, seconds: float, act: Callable[[], bool]) -> Iterator[None]:
        repeated = _Repeated(seconds, self.now + seconds, act)
        self._repeated.append(repeated)
        try:
            yield
        finally:
            if repeated in self._repeated:
                self._repeated.remove(repeated)

    def go_on(self, seconds: float) -> None:
        """Let time pass while the process runs: the background does its work when it is due."""
        until = self.now + seconds
        while due := [one for one in self._repeated if one.due <= until]:
            first = min(due, key=lambda one: one.due)
            self.now = max(self.now, first.due)
            first.due += first.seconds
            if not first.act():
                self._repeated.remove(first)
        self.now = until

    def stand_still(self, seconds: float) -> None:
        """Let time pass while the process is stopped."""
        self.now += seconds
