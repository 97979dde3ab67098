"""Runs and commits in short, for tests that need a catalogue and no upstream."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Engine

from prices.commit import Counts, commit
from prices.database import writing
from prices.openrouter import parse
from prices.runs import Busy, Fresh, Started, start_run
from tests.prices.lists import body

INTERVAL = timedelta(hours=3)
LEASE = timedelta(seconds=60)
AT_ONCE = timedelta(0)
"""The age of a body that was just received."""


def try_to_start(engine: Engine, worker: str = "w1", **other: Any) -> Started | Fresh | Busy:
    """Ask whether a run may start; forced, unless told otherwise."""
    asked: dict[str, Any] = {
        "worker": worker,
        "token": f"{worker}|-|0123456789abcdef",
        "task_id": None,
        "attempt": 0,
        "forced": True,
        "degraded": False,
        "interval": INTERVAL,
        "lease": LEASE,
    }
    with writing(engine) as connection:
        return start_run(connection, **asked | other)


def started(engine: Engine, **other: Any) -> int:
    """Start a run that may start; give its number."""
    decided = try_to_start(engine, **other)
    assert isinstance(decided, Started)
    return decided.run_id


def fill(engine: Engine, *models: Any, age: timedelta = AT_ONCE, **envelope: Any) -> Counts:
    """Commit a list of models by a run of its own."""
    received = body(*models, **envelope)
    return commit(engine, started(engine), parse(received), received, age, 0.1)
