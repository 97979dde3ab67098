"""The barrier at which held requests wait."""

from threading import Condition

LONGEST_WAIT = 600.0  # seconds; no thread of the stand-in waits longer for anything


class Gate:
    """Holds threads until all that wait are released together."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._releases = 0
        self._held = 0

    @property
    def held(self) -> int:
        """How many wait now."""
        return self._held

    def wait(self, timeout: float = LONGEST_WAIT) -> bool:
        """Waits for the next release; False when `timeout` seconds passed without one."""
        with self._changed:
            before = self._releases
            self._held += 1
            try:
                return self._changed.wait_for(lambda: self._releases != before, timeout)
            finally:
                self._held -= 1

    def release(self) -> int:
        """Lets all that wait go on; returns how many those are."""
        with self._changed:
            self._releases += 1
            self._changed.notify_all()
            return self._held
