"""Both engines behave alike behind this module."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from sqlalchemy import Engine, select, text, update
from sqlalchemy.exc import IntegrityError

from prices.errors import DatabaseUnavailableError, SchemaBehindError
from prices.runtime.bounds import Limits
from prices.runtime.settings import Settings
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.queries import require_schema
from prices.store.tables import catalogue, refresh_runs, revisions
from tests.support.ledger import started

BERLIN = timezone(timedelta(hours=2))
AT = datetime(2026, 8, 6, 1, 30, 0, 123456, tzinfo=BERLIN)


def store_time(engine: Engine, at: datetime | None) -> None:
    with writing(engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=at))


def stored_time(engine: Engine) -> datetime | None:
    with reading(engine) as connection:
        return connection.scalar(select(catalogue.c.refreshed_at))


def test_a_time_of_any_zone_comes_back_as_the_same_moment_in_utc(engine: Engine) -> None:
    store_time(engine, AT)
    found = stored_time(engine)
    assert found == AT
    assert found.tzinfo is UTC
    assert str(found) == "2026-08-05 23:30:00.123456+00:00"
    store_time(engine, None)
    assert stored_time(engine) is None


def test_a_time_is_the_same_moment_whatever_zone_the_session_has(engine: Engine) -> None:
    store_time(engine, AT)
    with writing(engine) as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL TIME ZONE 'Asia/Kolkata'"))
        assert connection.scalar(select(catalogue.c.refreshed_at)) == AT
        assert abs(utc_now(connection) - datetime.now(UTC)) < timedelta(seconds=5)
        assert connection.scalar(select(catalogue.c.id).where(catalogue.c.refreshed_at == AT)) == 1


def test_a_time_without_a_zone_is_refused(engine: Engine) -> None:
    with pytest.raises(Exception, match="a time without a zone cannot be stored"):
        store_time(engine, AT.replace(tzinfo=None))


def test_the_databases_clock_moves_within_a_transaction(engine: Engine) -> None:
    with writing(engine) as connection:
        first = utc_now(connection)
        while (second := utc_now(connection)) == first:
            pass
    assert first.tzinfo is UTC
    assert first < second


def test_what_raises_within_a_writing_transaction_leaves_nothing(engine: Engine) -> None:
    def write_and_fail() -> None:
        with writing(engine) as connection:
            connection.execute(update(catalogue).values(revision=99))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 0


def test_a_reader_sees_one_state_while_another_writes(engine: Engine) -> None:
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 0
        with writing(engine) as other:
            other.execute(update(catalogue).values(revision=1))
        assert connection.scalar(select(catalogue.c.revision)) == 0
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 1


def test_writers_wait_for_one_another_and_lose_nothing(engine: Engine) -> None:
    def count(_number: int) -> None:
        with writing(engine) as connection:
            known = connection.execute(select(catalogue).with_for_update()).one()
            connection.execute(update(catalogue).values(revision=known.revision + 1))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(count, range(20)))
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 20


@pytest.fixture
def impatient(database_url: str) -> Iterator[Engine]:
    """An engine that waits for a lock for a moment only."""
    url = Settings.from_env({"DATABASE_URL": database_url}).database_url
    engine = make_engine(url, limits=Limits(lock=0.1))
    yield engine
    engine.dispose()


def test_a_lock_that_is_not_given_in_time_is_an_unavailable_database(
    engine: Engine, impatient: Engine
) -> None:
    def wait() -> None:
        with writing(impatient) as other:
            other.execute(update(catalogue).values(revision=5))

    with writing(engine) as connection:
        connection.execute(update(catalogue).values(revision=3))
        with pytest.raises(DatabaseUnavailableError, match=r"failed \((SQLITE_BUSY|LockNotAvailable)\)"):
            wait()
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 3


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_a_writer_that_stands_still_loses_its_lock_to_one_who_waits(
    engine: Engine, database_url: str
) -> None:
    url = Settings.from_env({"DATABASE_URL": database_url}).database_url
    slow = make_engine(url, limits=Limits(idle=0.2))

    def write_and_stand_still() -> None:
        with writing(slow) as connection:
            connection.execute(update(catalogue).values(revision=3))
            with writing(engine) as other:
                other.execute(update(catalogue).values(revision=5))

    with pytest.raises(DatabaseUnavailableError, match="IdleInTransactionSessionTimeout"):
        write_and_stand_still()
    with reading(slow) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 5
    slow.dispose()


def test_when_every_connection_is_in_use_it_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine.pool, "_timeout", 0.05)
    most = engine.pool.size() + engine.pool._max_overflow  # type: ignore[attr-defined]
    assert most == 4 or engine.dialect.name == "sqlite"
    with ExitStack() as held:
        for _ in range(most):
            held.enter_context(reading(engine))
        with pytest.raises(DatabaseUnavailableError, match="every connection"):
            stored_time(engine)
    assert stored_time(engine) is None


def test_missing_tables_are_a_schema_that_is_behind(empty_database_url: str) -> None:
    engine = make_engine(Settings.from_env({"DATABASE_URL": empty_database_url}).database_url)

    def read(statement: Any) -> None:
        with reading(engine) as connection:
            connection.execute(statement)

    for statement in (select(catalogue), text("SELECT version_num FROM alembic_version")):
        with pytest.raises(SchemaBehindError, match=r"run python deploy_migrations\.py"):
            read(statement)
    engine.dispose()


def test_a_missing_column_is_a_schema_that_is_behind(engine: Engine) -> None:
    def read() -> None:
        with reading(engine) as connection:
            connection.execute(text("SELECT nothing_like_it FROM catalogue"))

    with pytest.raises(SchemaBehindError):
        read()


@pytest.mark.parametrize(("version", "enough"), [("20250101_01", False), ("20990101_01", True)])
def test_an_older_schema_is_refused_and_a_later_one_is_not(
    version: str, enough: bool, engine: Engine
) -> None:
    with writing(engine) as connection:
        found = connection.scalar(text("SELECT version_num FROM alembic_version"))
        connection.execute(text("UPDATE alembic_version SET version_num = :new"), {"new": version})
    try:
        with reading(engine) as connection:
            if enough:
                require_schema(connection)
            else:
                with pytest.raises(SchemaBehindError, match=version):
                    require_schema(connection)
    finally:
        with writing(engine) as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :old"), {"old": found})


def test_the_tables_keep_their_promises(engine: Engine) -> None:
    started(engine)
    promises: list[Callable[[Any], Any]] = [
        lambda connection: connection.execute(
            refresh_runs.insert().from_select(
                ["state", "worker", "token", "attempt", "forced", "degraded", "started_at", "heartbeat_at"],
                select(
                    refresh_runs.c.state,
                    refresh_runs.c.worker,
                    refresh_runs.c.token,
                    refresh_runs.c.attempt,
                    refresh_runs.c.forced,
                    refresh_runs.c.degraded,
                    refresh_runs.c.started_at,
                    refresh_runs.c.heartbeat_at,
                ),
            )
        ),
        lambda connection: connection.execute(
            revisions.insert().values(revision=1, run_id=999, committed_at=datetime.now(UTC), changes=0)
        ),
        lambda connection: connection.execute(
            catalogue.insert().values(id=2, fence=0, revision=0, envelope="{}")
        ),
    ]

    def break_it(promise: Callable[[Any], Any]) -> None:
        with writing(engine) as connection:
            promise(connection)

    for promise in promises:
        with pytest.raises(IntegrityError):
            break_it(promise)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:hunter2@127.0.0.1:1/db", "sqlite:////nowhere/at/all.sqlite3"]
)
def test_an_unreachable_database_is_one_line_without_the_password(url: str) -> None:
    engine = make_engine(url)
    with pytest.raises(DatabaseUnavailableError) as refused, reading(engine):
        pytest.fail("it was reached")
    assert "\n" not in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_sqlite_keeps_readers_going_and_a_commit_through_a_power_cut(engine: Engine) -> None:
    if engine.dialect.name == "postgresql":
        with reading(engine) as connection:
            assert connection.scalar(text("SHOW transaction_isolation")) == "repeatable read"
            assert connection.scalar(text("SHOW statement_timeout")) == "10s"
            assert connection.scalar(text("SHOW lock_timeout")) == "5s"
            assert connection.scalar(text("SHOW transaction_read_only")) == "on"
        return
    with reading(engine) as connection:
        assert connection.scalar(text("PRAGMA journal_mode")) == "wal"
        assert connection.scalar(text("PRAGMA synchronous")) == 2
        assert connection.scalar(text("PRAGMA foreign_keys")) == 1


def test_a_transaction_for_reading_writes_nothing(engine: Engine) -> None:
    def write() -> None:
        with reading(engine) as connection:
            connection.execute(update(catalogue).values(revision=5))

    with pytest.raises(DatabaseUnavailableError):
        write()
    with reading(engine) as connection:
        assert connection.scalar(select(catalogue.c.revision)) == 0


def test_making_an_engine_connects_to_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "connect", lambda *_a, **_k: pytest.fail("it connected"))
    before = threading.active_count()
    make_engine("sqlite:////nowhere/x.sqlite3")
    make_engine("postgresql+psycopg://127.0.0.1:1/db")
    assert threading.active_count() == before
