"""The story of a replay: dated bodies go through the very same refresh, each with its own time.

So years of history can be loaded, before the first refresh or after the last: what is older than the
catalogue is known already, which makes a replay resumable and a second one change nothing.
"""

import gzip
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from prices.errors import PricesError, UpstreamError
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import publish, refresh_prices
from prices.services import Services
from prices.store.database import reading, utc_now
from prices.store.queries import catalogue_state
from prices.upstream.download import MAX_BYTES
from prices.upstream.received import Received

_NAME: Final = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)[T_ ](\d\d)[:-]?(\d\d)(?:[:-]?(\d\d))?Z?(?:\D.*)?\.json(?:\.gz)?$"
)
SECOND_LOOK: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Capture:
    """A body on disk, and when it was received (UTC)."""

    at: datetime
    path: Path

    def read(self) -> bytes:
        """Read and unpack the body. Raises PricesError that names the file."""
        try:
            with self.path.open("rb") as file:
                packed = file.read(2) == b"\x1f\x8b"
            with gzip.open(self.path) if packed else self.path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise PricesError(f"{self.path.name} cannot be read ({type(error).__name__})") from error
        if len(body) > MAX_BYTES:
            raise PricesError(f"{self.path.name} is longer than {MAX_BYTES} bytes")
        return body


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a replay did: bodies fed, bodies that were known already, bodies that were no price list."""

    fed: int
    known: int
    failed: int
    changes: int
    revision: int


def captures_in(folder: Path) -> list[Capture]:
    """List a folder's bodies by their time: files named like `2026-08-06T1244Z.json.gz`, in UTC.

    Raises PricesError where there is none, where a name is no time, or where two have the same.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.name.endswith((".json", ".json.gz")))
    except OSError as error:
        raise PricesError(f"{folder} is no folder that can be read") from error
    captures: dict[datetime, Capture] = {}
    for path in paths:
        at = _time_in(path.name)
        if at in captures:
            raise PricesError(f"{captures[at].path.name} and {path.name} have the same time")
        captures[at] = Capture(at, path)
    if not captures:
        raise PricesError(f"{folder} holds no file named like 2026-08-06T1244Z.json or .json.gz")
    return [captures[at] for at in sorted(captures)]


def _time_in(name: str) -> datetime:
    found = _NAME.match(name)
    try:
        if found:
            return datetime(*(int(digits or 0) for digits in found.groups()), tzinfo=UTC)  # type: ignore[misc, arg-type]  # six numbers
    except ValueError:
        pass
    raise PricesError(f"{name} is not named by a time, like 2026-08-06T1244Z.json")


def replay(services: Services, captures: Iterable[Capture], *, worker: str, twice: bool = False) -> Replayed:
    """Feed bodies as refreshes of their own times; publish what came of it once, at the end.

    `twice` feeds each again as if a minute later, so that what the guards hold is confirmed.
    A body that is no price list is a failed refresh, as it would have been then, and the next one follows.
    Raises PricesError where another refreshes, a store is away, or a body is of a time to come, after which
    no refresh could be put; what was fed stays.
    """
    fed = known = failed = changes = 0
    with reading(services.engine) as connection:
        now = utc_now(connection)
    try:
        for capture in captures:
            if capture.at > now:
                raise PricesError(f"{capture.path.name} is of a time that has not come yet")
            for at in (capture.at, capture.at + SECOND_LOOK)[: 1 + twice]:
                if _is_known(services, at):
                    known += 1
                    continue
                try:
                    done = refresh_prices(
                        services, worker=worker, force=True, given=Received(capture.read(), at)
                    )
                except RefreshFailedError as error:
                    if not isinstance(error.__cause__, UpstreamError):
                        raise
                    failed += 1
                    break
                if done.outcome != "refreshed":
                    raise PricesError(f"{done.holder} is refreshing: replay again when it has ended")
                fed, changes = fed + 1, changes + (done.changes or 0)
    finally:
        publish(services)
    with reading(services.engine) as connection:
        return Replayed(fed, known, failed, changes, catalogue_state(connection).revision)


def _is_known(services: Services, at: datetime) -> bool:
    with reading(services.engine) as connection:
        refreshed_at = catalogue_state(connection).refreshed_at
    return refreshed_at is not None and at <= refreshed_at
