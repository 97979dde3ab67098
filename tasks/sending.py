"""Sending while the broker may hang: a beat that waited for it would lose its lead and fall silent."""

import time
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Final

from prices.runtime.background import in_background

OLD_SECONDS: Final = 30.0
"""How long a message that was sent after its call had given up counts as that of the next call."""


class BackgroundSending:
    """Sends one message at a time in a thread. Each call waits for it for at most `seconds`."""

    def __init__(
        self, send: Callable[[], None], seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._send = send
        self._seconds = seconds
        self._clock = clock
        self._open: Future[float] | None = None

    def __call__(self) -> None:
        """Send, or wait on for the message of the call before. Raises what `send` raises, or TimeoutError."""
        if self._open is None or self._is_old(self._open):
            self._open = in_background(self._send_now)
        wait([self._open], self._seconds)
        if not self._open.done():
            raise TimeoutError(f"the broker has not taken the message within {self._seconds:g} s")
        done, self._open = self._open, None
        done.result()

    def _send_now(self) -> float:
        self._send()
        return self._clock()

    def _is_old(self, sending: Future[float]) -> bool:
        sent = sending.done() and sending.exception() is None
        return sent and self._clock() - sending.result() > OLD_SECONDS
