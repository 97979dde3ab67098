"""Connections to PostgreSQL, named, and bounded on both sides.

The server's time-outs are set anew in each transaction, not as options of the connection, which PgBouncer
refuses: it lends a server's connection for a transaction, so what is set for longer would be another's. They
say nothing once the server is gone, or stands still behind a network that goes on answering, as after a
failover or where an address translation has forgotten the connection. Then this side's own bound holds.
"""

import time
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from sqlalchemy import Connection, Engine, event

from prices.bounds import Limits, seconds_left
from prices.brief_pool import BRIEF
from prices.turns import Turns

T = TypeVar("T")

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
        "prepare_threshold": None,  # a prepared statement is the server connection's, which PgBouncer lends
    }


class DatabaseSilentError(psycopg.OperationalError):
    """The server owes an answer and has sent nothing for too long."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection that is closed when the server falls silent, or the one who asks waits no longer."""

    silence_seconds: float

    def wait(self, gen: PQGen[T], *args: Any, **kwargs: Any) -> T:
        """Wait as psycopg does. Raises DatabaseSilentError; its interval, 0.1 s, is how late that may be."""
        try:
            return super().wait(_unless_silent(gen, self.silence_seconds), *args, **kwargs)
        except DatabaseSilentError:
            self.pgconn.finish()  # what is still to come would be taken for the answer to the next query
            raise


def _unless_silent(gen: PQGen[T], silence_seconds: float) -> PQGen[T]:
    heard_at = time.monotonic()
    ready: Any = None
    while True:
        try:
            wanted = gen.send(ready)
        except StopIteration as done:
            answer: T = done.value
            return answer
        ready = yield wanted
        now = time.monotonic()
        if ready:
            heard_at = now
        if now - heard_at >= silence_seconds or seconds_left() <= 0:
            gen.close()
            raise DatabaseSilentError("no answer came in time")


def bound(engine: Engine, limits: Limits, turns: Turns) -> None:
    """Let an engine open connections in turn, and let these keep limits, the server's and this side's."""
    set_limits = _sql(limits)

    def connect(_dialect: object, _record: object, args: Any, parameters: Any) -> BoundedConnection:
        connection = turns.open(lambda: BoundedConnection.connect(*args, **parameters))
        connection.silence_seconds = limits.statement + SILENCE_SECONDS
        return connection

    def begin(connection: Connection) -> None:
        connection.info[BRIEF] = connection.get_execution_options().get("pricebeat_brief", False)
        connection.exec_driver_sql(set_limits)

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "begin", begin)


def _sql(limits: Limits) -> str:
    """Set what PostgreSQL's server bounds, for one transaction."""
    settings = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    return "; ".join(f"SET LOCAL {name} = {seconds * 1000:.0f}" for name, seconds in settings.items())
