"""The rows of `refresh_runs`: the database's word on who refreshes, and what came of every run.

At most one row is `running`, by a unique index. Its number is the fencing token: each claim moves
the catalogue's fence to its own number, and a commit that finds another number there is rolled back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from prices import freshness, queries
from prices.database import DatabaseClock, utc_now
from prices.errors import ClaimLostError
from prices.models import catalogue, refresh_runs
from prices.queries import CatalogueState

RUNNING = "running"
FINISHED = "finished"
ABANDONED: Final = "abandoned"
"""How the reason of a run begins whose process ended or fell silent before it was done."""

# Made once: to build a statement takes longer than to run it.
_LOCK_CATALOGUE = select(catalogue.c.id).with_for_update()
_MOVE_FENCE = update(catalogue)
_PASS_FENCE = (
    update(catalogue)
    .where(catalogue.c.fence == bindparam("run"))
    .returning(catalogue, DatabaseClock().label("now"))
)
_RUNNING_RUN = select(refresh_runs).where(refresh_runs.c.state == RUNNING)
_INSERT_RUN = insert(refresh_runs).returning(refresh_runs.c.id)
_UPDATE_RUNNING_RUN = update(refresh_runs).where(
    refresh_runs.c.id == bindparam("run"), refresh_runs.c.state == RUNNING
)


@dataclass(frozen=True, slots=True)
class Started:
    """The run that was started, whose number is the fence, and what the catalogue was then."""

    run_id: int
    state: CatalogueState


@dataclass(frozen=True, slots=True)
class Fresh:
    """No run was started: the prices are fresh. The mark in Redis says so where there is no `state`."""

    age: timedelta
    revision: int
    state: CatalogueState | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """No run was started: another is running."""

    run_id: int
    worker: str
    since: timedelta


def start_run(
    connection: Connection,
    *,
    worker: str,
    token: str,
    task_id: str | None,
    attempt: int,
    forced: bool,
    degraded: bool,
    interval: timedelta,
    lease: timedelta,
) -> Started | Fresh | Busy:
    """Decide, in one writing transaction and by the database's clock, whether a run may start.

    A running row whose heartbeat is older than the lease is closed as abandoned on the way.
    """
    connection.execute(_LOCK_CATALOGUE)
    state = queries.catalogue_state(connection)
    now, refreshed_at = state.now, state.refreshed_at
    if refreshed_at and not forced and freshness.is_fresh(refreshed_at, now, interval):
        return Fresh(now - refreshed_at, state.revision, state)
    running = connection.execute(_RUNNING_RUN).one_or_none()
    if running is not None:
        if abs(now - running.heartbeat_at) <= lease:
            return Busy(running.id, running.worker, now - running.started_at)
        reason = f"{ABANDONED}: its heartbeat stopped"
        finish_run(connection, running.id, now, outcome="failed", reason=reason)
    row = {
        "state": RUNNING,
        "worker": worker,
        "token": token,
        "task_id": task_id,
        "attempt": attempt,
        "forced": forced,
        "degraded": degraded,
        "started_at": now,
        "heartbeat_at": now,
    }
    run_id = connection.execute(_INSERT_RUN, row).scalar_one()
    connection.execute(_MOVE_FENCE, {"fence": run_id})
    return Started(run_id, state)


def beat_run(connection: Connection, run_id: int) -> bool:
    """Say that the run's holder lives; False when the row is no longer running."""
    now = utc_now(connection)
    beaten = connection.execute(_UPDATE_RUNNING_RUN, {"run": run_id, "heartbeat_at": now})
    return beaten.rowcount == 1


def pass_fence(connection: Connection, run_id: int) -> Row[Any]:
    """Be the first statement of a commit: lock the catalogue's row, or raise ClaimLostError.

    Gives that row, and `now` by the database's clock. No other run can start or commit before the transaction
    ends.
    """
    passed = connection.execute(_PASS_FENCE, {"run": run_id, "fence": run_id}).one_or_none()
    if passed is None:
        raise ClaimLostError("claim lost: another run has taken over")
    return passed


def finish_run(
    connection: Connection, run_id: int, now: datetime, *, outcome: str, reason: str | None, **counts: Any
) -> bool:
    """Close the run's row with its outcome and counts; False when it was closed before."""
    values = {"state": FINISHED, "outcome": outcome, "reason": reason, "finished_at": now, **counts}
    closed = connection.execute(_UPDATE_RUNNING_RUN, {"run": run_id, **values})
    return closed.rowcount == 1


def dead_at(run: Row[Any], now: datetime, lease: timedelta) -> datetime | None:
    """Tell when a run counts as dead and another must be sent for; None says that it ended in order.

    A running one does a lease after its last heartbeat, one whose process was told to end at that time. Where
    that time is ahead of `now`, the clock was set back since: it was so long ago that only a message that is
    still waited for keeps another from being sent.
    """
    long_ago = now - freshness.answer_within(lease)
    if run.state == RUNNING:
        heartbeat_at = freshness.unless_ahead(run.heartbeat_at, now, lease)
        return long_ago if heartbeat_at is None else heartbeat_at + lease
    if (run.reason or "").startswith(ABANDONED):
        return freshness.unless_ahead(run.finished_at, now) or long_ago
    return None
