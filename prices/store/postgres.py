"""Connections to PostgreSQL, named, and bounded on both sides.

The server's time-outs are set after connecting, because PgBouncer refuses them as options; where it lends a
connection for a transaction, anew in each. They say nothing once the server is gone, or stands still behind a
network that goes on answering, as after a failover or where an address translation has forgotten the
connection. Then this side's own bound holds.
"""

import time
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Engine, event
from sqlalchemy.pool import ConnectionPoolEntry

from prices.runtime.bounds import Limits, seconds_left
from prices.store.brief_pool import FIRST
from prices.store.turns import Turns

T = TypeVar("T")

INTERVAL_SECONDS: Final = 0.1
SILENCE_SECONDS: Final = 2.0
"""How much longer than a statement may take the server may owe its answer."""
LOST_SECONDS: Final = 10
"""How long the other machine may acknowledge nothing; TCP asks after as many seconds of quiet."""


def arguments(process: str, limits: Limits) -> dict[str, Any]:
    """Give what psycopg is to connect with; the server's administrator sees which kind of process it is."""
    return {
        "connect_timeout": limits.connect,
        "application_name": f"pricebeat {process}",
        "keepalives": 1,
        "keepalives_idle": LOST_SECONDS,
        "keepalives_interval": 3,
        "keepalives_count": 3,
        "tcp_user_timeout": LOST_SECONDS * 1000,
    }


class DatabaseSilentError(psycopg.OperationalError):
    """The server owes an answer and has sent nothing for too long."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server falls silent, or the one who asks waits no longer."""

    silence_seconds: float
    is_lent = False
    """Whether a pooler lends it for each transaction, so that what is set for longer would be another's."""

    def wait(self, gen: PQGen[T], interval: float = INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Wait as psycopg does. Raises DatabaseSilentError, late by the interval at most."""
        bound = self.silence_seconds if timeout is None else timeout
        if (left := seconds_left()) < bound:
            bound = max(0.0, left)
        until = time.monotonic() + bound
        try:
            return super().wait(gen, interval, bound)
        except psycopg.OperationalError as error:
            if self.closed or time.monotonic() < until:
                raise
            self.pgconn.finish()  # what is still to come would be taken for the answer to the next query
            raise DatabaseSilentError("no answer came in time") from error

    def find_out_whose_it_is(self, limits: Limits) -> None:
        """Set the server's limits once, unless the server's process is another than who we connected to."""
        self.autocommit = True
        (process,) = self.execute("SELECT pg_backend_pid()").fetchone() or (None,)
        self.is_lent = process != self.info.backend_pid
        if self.is_lent:
            self.prepare_threshold = (
                None  # a statement would be prepared on one connection and run on another
            )
        else:
            self.execute(_sql("SET", limits))
        self.autocommit = False


def bound(engine: Engine, limits: Limits, turns: Turns) -> None:
    """Let an engine open connections in turn, and let these keep limits, the server's and this side's."""

    def connect(_dialect: object, _record: object, args: Any, parameters: Any) -> BoundedConnection:
        connection = turns.open(lambda: BoundedConnection.connect(*args, **parameters))
        connection.silence_seconds = limits.statement + SILENCE_SECONDS
        connection.find_out_whose_it_is(limits)
        return connection

    def connected(connection: BoundedConnection, record: ConnectionPoolEntry) -> None:
        if connection.is_lent:
            record.info[FIRST] = set_local

    set_local = _sql("SET LOCAL", limits)
    event.listen(engine, "do_connect", connect)
    event.listen(engine, "connect", connected)


def _sql(command: str, limits: Limits) -> str:
    """Set what PostgreSQL's server bounds."""
    settings = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    return "; ".join(f"{command} {name} = {seconds * 1000:.0f}" for name, seconds in settings.items())
