"""Questions that may hang, asked in the background by those who cannot wait.

No time-out of a driver covers a peer that stands still while its machine goes on answering.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

from prices.errors import OverloadedError

T = TypeVar("T")

GIVE_UP_SECONDS: Final = 3.0
"""How long a question is waited for before another may be asked beside it."""
MOST_AT_ONCE: Final = 4
"""How many may hang at once: bounds the threads, whatever stands still."""


def in_background(act: Callable[[], T]) -> Future[T]:
    """Do something in a thread that does not keep the process from ending.

    Where no thread can be started the answer is that error: whoever waits has one place to look at.
    """
    future: Future[T] = Future()
    try:
        threading.Thread(target=_answer, args=(future, act), name="background", daemon=True).start()
    except RuntimeError as error:
        future.set_exception(OverloadedError(f"no thread can be started ({error})"))
    return future


def _answer(future: Future[T], act: Callable[[], T]) -> None:
    try:
        future.set_result(act())
    except BaseException as error:  # noqa: BLE001 - handed to whoever waits, whatever it is
        future.set_exception(error)
    finally:
        del future  # the error's traceback holds this frame, and with it all that the asker holds


class Question(Generic[T]):
    """One question, asked once at a time: who asks while it is open shares the answer."""

    def __init__(self, ask: Callable[[], T], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._lock = threading.Lock()
        self._open: list[Future[T]] = []
        self._asked_at = 0.0

    def asked(self) -> Future[T]:
        """Give the answer to come: of the question that is open, or of a new one."""
        with self._lock:
            self._open = [future for future in self._open if not future.done()]
            waited = self._clock() - self._asked_at
            if self._open and (waited < GIVE_UP_SECONDS or len(self._open) >= MOST_AT_ONCE):
                return self._open[-1]
            self._asked_at = self._clock()
            future = in_background(self._ask)
            self._open.append(future)
            return future
