"""What was asked of the stand-in: the counts and the log that tests look at."""

from collections import deque
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.message import Message
from threading import Lock
from typing import Any


@dataclass(eq=False)
class Entry:
    """One request for the list. `time` is real time (UTC); no secret is kept, only whether one came."""

    time: str
    path: str
    headers: dict[str, str | bool | None]
    era: int  # how often the ledger had been reset when the request came
    status: int | None = None
    completed: bool = False


class Ledger:
    """Requests for the list since the last reset; the last 10,000 are kept, all are counted."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._era = 0
        self._received = self._completed = 0
        self._log: deque[Entry] = deque(maxlen=10_000)

    def reset(self) -> None:
        """Begins to count anew."""
        with self._lock:
            self._era += 1
            self._received = self._completed = 0
            self._log.clear()

    def open(self, path: str, headers: Message) -> Entry:
        """Notes that a request has come in."""
        shown: dict[str, str | bool | None] = {
            "user-agent": headers.get("user-agent"),
            "authorization": "authorization" in headers,
            "accept-encoding": headers.get("accept-encoding"),
        }
        with self._lock:
            entry = Entry(datetime.now(UTC).isoformat(), path, shown, self._era)
            self._received += 1
            self._log.append(entry)
        return entry

    def complete(self, entry: Entry, *, whole: bool) -> None:
        """Notes whether the body of `entry` was sent whole (it counts when its status is 200)."""
        with self._lock:
            if entry.completed != whole and entry.status == 200:
                entry.completed = whole
                self._completed += (1 if whole else -1) if entry.era == self._era else 0

    def report(self) -> dict[str, Any]:
        """The counts and the log, as `GET /_control/requests` answers them."""
        with self._lock:
            log = [
                {key: value for key, value in asdict(entry).items() if key != "era"} for entry in self._log
            ]
            return {"received": self._received, "completed": self._completed, "log": log}
