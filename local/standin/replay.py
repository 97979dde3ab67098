"""Where a body comes from: the made-up catalogue or recorded bodies, both as of a virtual time."""

import gzip
from bisect import bisect_right
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Protocol

from local.standin import catalogue
from local.standin.moves import quarter_of

_SUFFIXES = (".json.gz", ".json")


class Source(Protocol):
    """Something that has the whole list at any time."""

    def body(self, now: datetime) -> bytes:
        """The list in force at `now` (UTC), uncompressed."""
        ...


class MadeUp:
    """The made-up catalogue of `count` models; made anew when a quarter of an hour has passed."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._lock = Lock()
        self._made: tuple[datetime, bytes] | None = None

    def body(self, now: datetime) -> bytes:
        """The catalogue at `now`, the same object while it is the same."""
        quarter = quarter_of(now)
        with self._lock:
            if self._made is None or self._made[0] != quarter:
                self._made = quarter, catalogue.body(self._count, quarter)
            return self._made[1]


class Replay:
    """Recorded bodies, verbatim: one file for ever, or a folder of files like `2026-08-06T1244Z.json.gz`."""

    def __init__(self, path: Path) -> None:
        if path.is_dir():
            dated = [(_date(file), file) for file in path.iterdir() if file.name.endswith(_SUFFIXES)]
            self._dated = sorted((date, file) for date, file in dated if date is not None)
        else:
            self._dated = [(datetime.min.replace(tzinfo=UTC), path)]
        if not self._dated or not self._dated[0][1].is_file():
            raise FileNotFoundError(f"no recorded body at {path}")

    def body(self, now: datetime) -> bytes:
        """The newest body not later than `now`; before the first, the first."""
        place = bisect_right(self._dated, now, key=lambda entry: entry[0])
        return _read(self._dated[max(0, place - 1)][1])


@lru_cache(maxsize=2)
def _read(file: Path) -> bytes:
    raw = file.read_bytes()
    return gzip.decompress(raw) if file.suffix == ".gz" else raw


def _date(file: Path) -> datetime | None:
    try:
        return datetime.strptime(file.name.partition(".")[0], "%Y-%m-%dT%H%MZ").replace(tzinfo=UTC)
    except ValueError:
        return None
