"""The virtual time: where it stands and how fast it runs."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Lock


class Clock:
    """A settable UTC clock; `speed` is in virtual seconds per real second, 0 freezes it."""

    def __init__(self, start: datetime, speed: float, real: Callable[[], float] = time.monotonic) -> None:
        self._lock = Lock()
        self._real = real
        self._since, self._then, self._speed = real(), start, speed

    def now(self) -> datetime:
        """The virtual time."""
        with self._lock:
            return self._now()

    @property
    def speed(self) -> float:
        """Virtual seconds per real second."""
        return self._speed

    def change(self, *, now: datetime | None = None, advance: float = 0, speed: float | None = None) -> None:
        """Sets the time, moves it on by `advance` seconds, sets the speed; what is not given stays."""
        with self._lock:
            then = (now or self._now()) + timedelta(seconds=advance)
            self._since, self._then = self._real(), then
            self._speed = self._speed if speed is None else speed

    def _now(self) -> datetime:
        return self._then + timedelta(seconds=(self._real() - self._since) * self._speed)


def moment(text: str) -> datetime:
    """An ISO 8601 time as UTC; one without an offset is UTC. Raises ValueError."""
    parsed = datetime.fromisoformat(text)
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
