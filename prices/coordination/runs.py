"""The rows of `refresh_runs`: the database's word on who refreshes, and what came of every run.

At most one row is `running`, by a unique index. Its number is the fencing token: each claim moves
the catalogue's fence to its own number, and a commit that finds another number there is rolled back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, Row, bindparam, insert, select, update

from prices.coordination import freshness
from prices.coordination.retries import waits_until
from prices.errors import ClaimLostError
from prices.store import queries
from prices.store.database import DatabaseClock, utc_now
from prices.store.queries import CatalogueState
from prices.store.tables import catalogue, refresh_runs

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
_INSERT_RUN = insert(refresh_runs).returning(refresh_runs.c.id)
_UPDATE_RUNNING_RUN = update(refresh_runs).where(
    refresh_runs.c.id == bindparam("run"), refresh_runs.c.state == RUNNING
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try of a refresh: its worker, its task, and whether it passes over freshness and waits."""

    worker: str
    task_id: str | None = None
    forced: bool = False


@dataclass(frozen=True, slots=True)
class Started:
    """The run that was started, whose number is the fence, and what the catalogue was then.

    `failed_before` is how many runs in a row failed before it.
    """

    run_id: int
    state: CatalogueState
    failed_before: int = 0


@dataclass(frozen=True, slots=True)
class Fresh:
    """No run was started: the prices are fresh. The mark in Redis says so where there is no `state`.

    `age` is None where it is unknown.
    """

    age: timedelta | None
    revision: int
    state: CatalogueState | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """No run was started: another has the claim; who, since when, and its run, as far as that is known."""

    holder: str
    since: timedelta | None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Waiting:
    """No run was started: the last one failed, and the next may begin at a time that has not come yet."""

    until: datetime
    reason: str


def start_run(
    connection: Connection,
    attempt: Attempt,
    *,
    token: str,
    degraded: bool,
    interval: timedelta,
    lease: timedelta,
) -> Started | Fresh | Busy | Waiting:
    """Decide, in one writing transaction and by the database's clock, whether a run may start.

    A running row whose heartbeat is older than the lease is closed as abandoned on the way.
    """
    connection.execute(_LOCK_CATALOGUE)
    state = queries.catalogue_state(connection)
    now, refreshed_at = state.now, state.refreshed_at
    if refreshed_at and not attempt.forced and freshness.is_fresh(refreshed_at, now, interval):
        return Fresh(freshness.age_of(refreshed_at, now), state.revision, state)
    last = queries.last_run(connection)
    if last is not None and last.state == RUNNING:
        if abs(now - last.heartbeat_at) <= lease:
            return Busy(last.worker, now - last.started_at, last.id)
        fail_run(connection, last.id, now, f"{ABANDONED}: its heartbeat stopped")
    elif not attempt.forced and (until := waits_until(last, now)):
        return Waiting(until, (last and last.reason) or "")
    failed_before = 0 if last is None or last.outcome == "refreshed" else last.attempt + 1
    row = {
        "state": RUNNING,
        "worker": attempt.worker,
        "token": token,
        "task_id": attempt.task_id,
        "attempt": failed_before,
        "forced": attempt.forced,
        "degraded": degraded,
        "started_at": now,
        "heartbeat_at": now,
    }
    run_id = connection.execute(_INSERT_RUN, row).scalar_one()
    connection.execute(_MOVE_FENCE, {"fence": run_id})
    return Started(run_id, state, failed_before)


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


def fail_run(
    connection: Connection, run_id: int, now: datetime, reason: str, wait: timedelta = timedelta(0)
) -> bool:
    """Close the run's row as failed; no other begins for as long as `wait`, unless it is forced."""
    return finish_run(connection, run_id, now, outcome="failed", reason=reason, retry_at=now + wait)
