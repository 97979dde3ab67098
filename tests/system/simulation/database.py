"""A simulated database: the real tables, statements and constraints, in SQLite's memory.

A transaction can be refused or hang, be rolled back by a crash or a cut before its commit, or be committed
with the reply lost. Its clock may be set. Transactions never overlap: the fault matrix has locks.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from typing import Any, NoReturn

from alembic import command
from sqlalchemy import StaticPool, create_engine, event, update
from sqlalchemy.exc import OperationalError

from deploy_migrations import _config
from prices.runtime.redis_client import Keys
from prices.store.database import _begin_sqlite, writing
from prices.store.tables import catalogue
from tests.system.simulation.engine import ThinEngine
from tests.system.simulation.wall_clock import WallClock
from tests.system.simulation.world import World

KEYS = Keys(deployment="simulated")
"""What every world's database says which deployment it is that of: a seed decides everything else."""
GIVE_UP_SECONDS = 12.0
"""After how long a process gives up a server that took its question and does not answer."""
Look = Callable[[sqlite3.Connection], None]


class SimDatabase:
    """The database of one world.

    `before_commit` and `after_commit` look into it at every transaction that changed something: before what
    may befall its commit, and when it is done, whether or not its reply arrives.
    """

    def __init__(self, world: World, clock: WallClock, before_commit: Look, after_commit: Look) -> None:
        self.world = world
        self.down_until = 0.0
        self.raw = _reused().empty(lambda: clock.now)
        self.engine = ThinEngine(self.raw, self._transaction)
        self._before_commit, self._after_commit = before_commit, after_commit

    @contextmanager
    def _transaction(self, writes: bool) -> Iterator[None]:
        self.world.befall("database, before begin")
        if self.down_until > self.world.now or self.world.fails(self.world.odds.refused):
            self.world.process().faults += 1
            _fail("the database refused")
        self._await_in_vain()
        changes = self.raw.total_changes
        self.raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
        try:
            yield
        except BaseException:
            self.raw.rollback()
            raise
        changed = self.raw.total_changes != changes
        if changed and not writes:
            self.world.stop(AssertionError("a transaction that reads has written"))
        self._commit(changed)

    def _commit(self, changed: bool) -> None:
        world = self.world
        if changed:
            self._before_commit(self.raw)
        if world.random.random() < world.odds.crash:
            self.raw.rollback()
            world.note(f"{world.process().name} is killed before its commit")
            world.process().faults += 1
            world.kill(world.process())
            world.sleep(0)
        if world.fails(world.odds.refused):
            self.raw.rollback()
            _fail("the connection was cut before the commit")
        self.raw.commit()
        if changed:
            self._after_commit(self.raw)
        world.befall("database, after commit")
        if world.fails(world.odds.reply_lost):
            _fail("the reply to the commit was lost")
        self._await_in_vain()

    def _await_in_vain(self) -> None:
        """Perhaps let the answer never come, to a question that was lost or to one that was done."""
        if self.world.fails(self.world.odds.hung):
            self.world.sleep(GIVE_UP_SECONDS)
            _fail("the server did not answer")


def _fail(what: str) -> NoReturn:
    raise OperationalError(what, {}, sqlite3.OperationalError(what))


class _Reused:
    """The one database that all worlds of a process use in turn, so that statements are prepared once."""

    def __init__(self) -> None:
        self._raw = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        engine = create_engine("sqlite://", creator=lambda: self._raw, poolclass=StaticPool)
        event.listen(engine, "begin", _begin_sqlite)
        with writing(engine) as opened:
            config = _config()
            config.attributes["connection"] = opened
            command.upgrade(config, "head")
            opened.execute(update(catalogue).values(deployment=KEYS.deployment))
        self._now: Callable[[], float] = lambda: 0.0
        self._raw.create_function("strftime", 2, lambda _form, _when: _as_text(self._now()))
        tables = [
            name for (name,) in self._raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        self._rows = {name: self._raw.execute(f"SELECT * FROM {name}").fetchall() for name in tables}  # noqa: S608

    def empty(self, now: Callable[[], float]) -> sqlite3.Connection:
        """Give it as the migrations made it, with another clock."""
        self._now = now
        self._raw.rollback()
        self._raw.execute("BEGIN")
        for name, rows in self._rows.items():
            self._raw.execute(f"DELETE FROM {name}")  # noqa: S608
            for row in rows:
                self._raw.execute(f"INSERT INTO {name} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
        self._raw.commit()
        return self._raw


_reused = cache(_Reused)


def _as_text(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).replace(tzinfo=None).isoformat(" ", "microseconds")


def as_seconds(told: Any) -> float | None:
    """Read a time as the tables hold it."""
    return None if told is None else datetime.fromisoformat(told).replace(tzinfo=UTC).timestamp()
