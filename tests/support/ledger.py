"""Runs and commits in short, for tests that need a catalogue and no upstream."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Engine

from prices.catalogue.guards import Guards
from prices.coordination.runs import Attempt, Busy, Fresh, Started, Waiting, start_run
from prices.refresh.commit import Counts, commit
from prices.store.database import reading, utc_now, writing
from prices.upstream.model_list import parse
from prices.upstream.received import Received
from tests.support.lists import body

INTERVAL = timedelta(hours=3)
LEASE = timedelta(seconds=60)


def try_to_start(
    engine: Engine, worker: str = "w1", *, task_id: str | None = None, forced: bool = True, **other: Any
) -> Started | Fresh | Busy | Waiting:
    """Ask whether a run may start; forced, unless told otherwise."""
    asked: dict[str, Any] = {
        "token": f"{worker}|-|0123456789abcdef",
        "degraded": False,
        "interval": INTERVAL,
        "lease": LEASE,
    }
    with writing(engine) as connection:
        return start_run(connection, Attempt(worker, task_id, forced), **asked | other)


def started(engine: Engine, **other: Any) -> int:
    """Start a run that may start; give its number."""
    decided = try_to_start(engine, **other)
    assert isinstance(decided, Started)
    return decided.run_id


def ago(engine: Engine, span: timedelta) -> datetime:
    """A time before now, by the database's clock."""
    with reading(engine) as connection:
        return utc_now(connection) - span


def feed(engine: Engine, whole: bytes, at: datetime | None = None, guards: Guards | None = None) -> Counts:
    """Commit a body by a run of its own, as received at a time (now, unless told otherwise)."""
    return commit(engine, started(engine), parse(whole), Received(whole, at, 0.1).receipt, guards).counts


def fill(
    engine: Engine,
    *models: Any,
    at: datetime | None = None,
    guards: Guards | None = None,
    **envelope: Any,
) -> Counts:
    """Commit a list of models by a run of its own; all of it is believed, unless there are guards."""
    return feed(engine, body(*models, **envelope), at, guards)
