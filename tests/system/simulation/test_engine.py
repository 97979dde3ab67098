"""What a run does through the simulation's thin engine, it does through SQLAlchemy's own."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event
from sqlalchemy.exc import IntegrityError

from prices.coordination.runs import beat_run, finish_run
from prices.history import read
from prices.refresh.stash import Stash
from prices.runtime.redis_client import Keys
from prices.store import queries
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.tables import metadata
from tests.conftest import migrate
from tests.support.ledger import fill, started, try_to_start
from tests.support.lists import model
from tests.system.simulation.engine import ThinEngine

AT = "2026-11-21 12:00:00.000000"
BY_THEMSELVES = "store_seconds"
"""The one column that tells of the machine's own time."""


def prepare(connection: sqlite3.Connection) -> None:
    connection.isolation_level = None
    connection.create_function("strftime", 2, lambda _form, _when: AT)


@contextmanager
def thin(path: Path) -> Iterator[Any]:
    with closing(sqlite3.connect(path)) as connection:
        prepare(connection)

        @contextmanager
        def transaction(_writes: bool) -> Iterator[None]:
            connection.execute("BEGIN")
            yield
            connection.execute("COMMIT")

        yield ThinEngine(connection, transaction)


@contextmanager
def own(path: Path) -> Iterator[Engine]:
    engine = make_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", lambda connection, _record: prepare(connection))
    yield engine
    engine.dispose()


def live(engine: Any) -> list[Any]:
    """Use whatever runs, commits, the stash and readers ask of a database; give all answers."""
    stash = Stash(None, engine, "https://upstream", timedelta(hours=1), keys=Keys())
    told: list[Any] = [try_to_start(engine), try_to_start(engine, worker="w2", forced=False)]
    stash.put(1, b"body")
    with reading(engine) as connection:
        state = queries.catalogue_state(connection)
    told += [stash.get(replace(state, refreshed_run_id=run)) for run in (0, 1)]
    with writing(engine) as connection:
        told += [beat_run(connection, 1), beat_run(connection, 99)]
        told += [finish_run(connection, 1, utc_now(connection), outcome="failed", reason="test")]
    told += [
        fill(engine, model("a/one"), model("a/two")),
        fill(engine, model("a/two", "0.5"), model("a/three"), total_count=2),
        fill(engine, model("a/one"), model("a/two", "0.5"), model("a/three")),
        started(engine),
    ]
    with reading(engine) as connection:
        told += [queries.catalogue_state(connection), list(queries.listed_models(connection))]
        told += [list(read.prices(connection, 3)), list(read.prices(connection, 1))]
        told += [queries.tombstones(connection), queries.describe_run(queries.last_run(connection))]
    return told


def contents(path: Path) -> dict[str, Any]:
    with closing(sqlite3.connect(path)) as connection:
        return {
            name: connection.execute(f"SELECT {', '.join(columns)} FROM {name} ORDER BY 1").fetchall()  # noqa: S608
            for name, table in metadata.tables.items()
            if (columns := [column.name for column in table.columns if column.name != BY_THEMSELVES])
        }


def test_the_thin_engine_answers_and_writes_what_sqlalchemy_does(tmp_path: Path) -> None:
    answers = []
    migrate(f"sqlite:///{tmp_path / 'migrated'}")
    for open_engine in (thin, own):
        path = tmp_path / open_engine.__name__
        shutil.copy(tmp_path / "migrated", path)
        with open_engine(path) as engine:
            answers.append(live(engine))

    assert answers[0] == answers[1]
    assert contents(tmp_path / "thin") == contents(tmp_path / "own")


@pytest.mark.parametrize("open_engine", [thin, own])
def test_a_second_running_run_breaks_the_constraint_in_both(
    open_engine: Callable[[Path], Any], tmp_path: Path
) -> None:
    migrate(f"sqlite:///{tmp_path / 'store'}")
    with open_engine(tmp_path / "store") as engine:
        started(engine)
        second = queries.refresh_runs.insert().values(
            state="running", worker="w", token="t", attempt=0, forced=False, degraded=False
        )
        with pytest.raises(IntegrityError), writing(engine) as connection:
            connection.execute(second)
