"""Whether the run is to end: by a signal, or because whatever started it has gone."""

import os
import signal
import time
from pathlib import Path

_SIGINT_BIT = 1 << (signal.SIGINT - 1)
_ONE_AND_THE_SAME = 0.3
"""Seconds in which two signals count as one: a group's signal also comes by way of make."""


class StopRequest:
    """Listens for Ctrl-C, TERM and a closed terminal, and watches `make` if that is the parent.

    Make, killed with -9, tells nobody; and an interrupt sent to make alone reaches no child, while make
    waits for the child before it ends.
    """

    def __init__(self) -> None:
        self._asked_at: float | None = None
        self.at_once = False
        self._make = os.getppid() if "MAKELEVEL" in os.environ else None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores it
                signal.signal(number, self._note)

    @property
    def asked(self) -> bool:
        """Tell whether the run is to end."""
        if self._asked_at is None and self._make is not None and not self._make_goes_on(self._make):
            self._asked_at = time.monotonic()
        return self._asked_at is not None

    def _note(self, number: int, _frame: object) -> None:
        now = time.monotonic()
        if self._asked_at is None:
            self._asked_at = now
        elif number == signal.SIGINT and now - self._asked_at > _ONE_AND_THE_SAME:
            self.at_once = True

    def _make_goes_on(self, make: int) -> bool:
        return os.getppid() == make and not _is_ending_by_interrupt(make)


def _is_ending_by_interrupt(make: int) -> bool:
    """Tell (on Linux) whether make is inside its handler for SIGINT: blocked, and set back to the default."""
    try:
        status = Path(f"/proc/{make}/status").read_text()
    except OSError:
        return False
    masks = dict(line.split(":\t", 1) for line in status.splitlines() if line.startswith("Sig"))
    blocked, ignored, caught = (int(masks[key], 16) & _SIGINT_BIT for key in ("SigBlk", "SigIgn", "SigCgt"))
    return bool(blocked and not ignored and not caught)
