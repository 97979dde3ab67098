"""The engine, its two kinds of transaction, and the database's own clock.

SQLite (one machine) and PostgreSQL (a cluster) behave alike behind this module: a writing
transaction has the write lock from its first statement, and every wait has a bound.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, select
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from prices.errors import DatabaseFullError, DatabaseUnavailableError, SchemaBehindError
from prices.runtime.bounds import Limits
from prices.runtime.reasons import NO_DATABASE_URL, database_reason
from prices.runtime.settings import DEFAULT_DATABASE_URL
from prices.store.brief_pool import BRIEF, FIRST, BriefPool, keep_briefly
from prices.store.column_types import UtcDateTime
from prices.store.turns import Patient, Turns

LIMITS: Final = Limits()
MOST_CONNECTIONS: Final = 4
"""How many connections to PostgreSQL a process may have at once."""
KEPT_CONNECTIONS: Final = 2
"""How many of them may be idle, for some seconds."""
_READS: Final[dict[str, dict[str, Any]]] = {
    "sqlite": {"pricebeat_writes": False},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


class DatabaseClock(FunctionElement[datetime]):
    """The database's own time, which goes on within a transaction: the one clock that a cluster shares."""

    type = UtcDateTime()
    inherit_cache = True


@compiles(DatabaseClock, "sqlite")
def _sqlite_clock(_clock: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "strftime('%Y-%m-%d %H:%M:%f', 'now')"


@compiles(DatabaseClock, "postgresql")
def _postgresql_clock(_clock: DatabaseClock, _compiler: Any, **_options: Any) -> str:
    return "clock_timestamp()"


_NOW = select(DatabaseClock())


def make_engine(
    url: str, *, process: str = "command", limits: Limits = LIMITS, turns: Turns | None = None
) -> Engine:
    """Make an engine that connects when first used, for a kind of `process`; every wait has a bound.

    `turns` is how the process opens connections to PostgreSQL: unless given, it tries again for a while where
    there are no more.
    """
    if url.startswith("sqlite"):
        engine = create_engine(url, connect_args={"timeout": limits.lock}, pool_timeout=limits.connect)
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    from prices.store import postgres

    turns = turns or Patient()
    engine = create_engine(
        url,
        connect_args=postgres.arguments(process, limits),
        poolclass=BriefPool,
        pool_size=KEPT_CONNECTIONS,
        max_overflow=MOST_CONNECTIONS - KEPT_CONNECTIONS,
        pool_timeout=limits.connect,
        pool_pre_ping=True,
    )
    postgres.bound(engine, limits, turns)
    keep_briefly(engine, turns.keeps_seconds)
    return engine


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that sees one state of the database and changes nothing."""
    options = _READS[engine.dialect.name]
    with _translated(engine), engine.connect().execution_options(**options) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            _begin_postgresql(connection)
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Open a transaction that commits as a whole or not at all."""
    with (
        _translated(engine),
        engine.connect().execution_options(pricebeat_writes=True) as connection,
        connection.begin(),
    ):
        if engine.dialect.name == "postgresql":
            _begin_postgresql(connection)
        yield connection


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get("pricebeat_brief"):
        connection.info[BRIEF] = True
    if first := connection.info.get(FIRST):
        connection.exec_driver_sql(first)


def utc_now(connection: Connection) -> datetime:
    """Ask the database for the time."""
    now: datetime = connection.execute(_NOW).scalar_one()
    return now


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Turn what the driver raises into our errors; a broken constraint stays what it is."""
    try:
        yield
    except IntegrityError:
        raise
    except PoolTimeoutError as error:
        raise DatabaseFullError("every connection to the database is in use") from error
    except DBAPIError as error:
        which = f" ({NO_DATABASE_URL})" if str(engine.url) == DEFAULT_DATABASE_URL else ""
        if _says_table_missing(error):
            missing = f"the tables are missing: run python deploy_migrations.py{which}"
            raise SchemaBehindError(missing) from error
        cause = error.orig or error
        raise DatabaseUnavailableError(f"{database_reason(cause)}{which}") from cause


def _says_table_missing(error: DBAPIError) -> bool:
    if isinstance(error, OperationalError):
        return any(f"no such {thing}:" in str(error.orig) for thing in ("table", "column"))
    return isinstance(error, ProgrammingError) and getattr(error.orig, "sqlstate", "") in ("42P01", "42703")


def _prepare_sqlite(connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # transactions are begun by _begin_sqlite, not by the driver
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute("PRAGMA synchronous = FULL")  # a committed price survives a power cut


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get("pricebeat_writes", False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'OFF' if writes else 'ON'}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
