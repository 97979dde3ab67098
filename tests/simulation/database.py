"""A simulated database: the real tables, statements and constraints, in SQLite's memory.

A transaction can be refused, be rolled back by a crash or a cut before its commit, or be committed
with the reply lost. Its clock is the world's. Transactions never overlap: the fault matrix has locks.
"""

import sqlite3
from datetime import UTC, datetime
from functools import cache
from typing import Any

from alembic import command
from sqlalchemy import Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import OperationalError

from deploy_migrations import _config
from prices.database import _begin_sqlite, writing
from tests.simulation.world import World


class SimConnection(sqlite3.Connection):
    """The one connection of a world."""

    world: World

    def close(self) -> None:
        """Stay: SQLAlchemy closes a connection whose process died in the middle."""

    def commit(self) -> None:
        """Commit, unless something befalls the process first; perhaps lose the reply."""
        if not self.in_transaction:
            return
        world = self.world
        if world.random.random() < world.odds.crash:
            self.rollback()
            world.note(f"{world.process().name} is killed before its commit")
            world.process().faults += 1
            world.kill(world.process())
            world.sleep(0)
        if world.fails(world.odds.refused):
            self.rollback()
            raise sqlite3.OperationalError("the connection was cut before the commit")
        super().commit()
        world.after_commit()
        world.befall("database, after commit")
        if world.fails(world.odds.reply_lost):
            raise sqlite3.OperationalError("the reply to the commit was lost")


@cache
def _migrated() -> bytes:
    """Give a database as the real migrations make it."""
    connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)
    event.listen(engine, "begin", _begin_sqlite)
    with writing(engine) as opened:
        config = _config()
        config.attributes["connection"] = opened
        command.upgrade(config, "head")
    return connection.serialize()


@cache
def _engine() -> tuple[Engine, SimConnection]:
    """Make the engine that all worlds of this process use, one after the other: statements compile once."""
    connection = sqlite3.connect(
        ":memory:", check_same_thread=False, isolation_level=None, factory=SimConnection
    )
    engine = create_engine("sqlite://", creator=lambda: connection, poolclass=StaticPool)

    def befall(_connection: Connection) -> None:
        world = connection.world
        world.befall("database, before begin")
        if world.database_down_until > world.now or world.fails(world.odds.refused):
            world.process().faults += 1
            raise OperationalError("BEGIN", {}, sqlite3.OperationalError("the database refused"))

    event.listen(engine, "begin", befall)
    event.listen(engine, "begin", _begin_sqlite)
    return engine, connection


def make_sim_engine(world: World) -> tuple[Engine, sqlite3.Connection]:
    """Give an engine on an empty database of this world, and the connection beneath it to look into."""
    engine, connection = _engine()
    connection.world = world
    connection.rollback()
    connection.deserialize(_migrated())
    connection.create_function("strftime", 2, lambda _form, _when: _stamp(world.now))
    return engine, connection


def _stamp(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")


def as_seconds(told: Any) -> float | None:
    """Read a time as the tables hold it."""
    return None if told is None else datetime.fromisoformat(told).replace(tzinfo=UTC).timestamp()
