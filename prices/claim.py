"""Who may refresh: the Redis lock first, then the database's word, then a watchdog that keeps both.

With Redis out of reach the database decides alone: still one fetch, never everyone, never nobody.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from redis import Redis
from sqlalchemy import Engine

from prices.database import writing
from prices.errors import ClaimLostError, DatabaseUnavailableError, RedisUnavailableError
from prices.lease import Holder, Lease, Renewal, make_token
from prices.logs import log
from prices.redis_client import LOCK_KEY
from prices.runs import Busy, Fresh, beat_run, start_run


@dataclass(frozen=True, slots=True)
class Held:
    """The claim was refused because another holds it: who, and how long or for how long still."""

    holder: str
    since: timedelta | None = None
    left: timedelta | None = None


class Claim:
    """The right to refresh: the run's number is its fence. `check` before anything that counts."""

    def __init__(self, run_id: int, *, degraded: bool) -> None:
        self.run_id = run_id
        self.degraded = degraded
        self._lost: str | None = None

    def lose(self, why: str) -> None:
        """Note that the claim is gone; the run finds out at its next check."""
        self._lost = self._lost or why

    def check(self) -> None:
        """Raise ClaimLostError once the claim is gone."""
        if self._lost:
            raise ClaimLostError(f"claim lost: {self._lost}")


@contextmanager
def claim(
    redis: Redis,
    engine: Engine,
    *,
    worker: str,
    task_id: str | None,
    attempt: int,
    force: bool,
    interval: timedelta,
    lease: timedelta,
    ttl: timedelta,
    key: str = LOCK_KEY,
) -> Iterator[Claim | Fresh | Held]:
    """Give the claim for the length of the block, or say why there is none.

    The Redis lock is renewed every third of `lease` while the block runs, never past `ttl`, and
    given back at its end. Raises DatabaseUnavailableError where the database cannot decide.
    """
    run_id = None
    lock = Lease(redis, key, make_token(worker, task_id or "-"), lease=lease)
    holder, degraded = _take(lock)
    if holder is not None:
        log.info(
            "Price update already running on worker", holder=holder.name, left=holder.left.total_seconds()
        )
        yield Held(holder.name, left=holder.left)
        return
    try:
        with writing(engine) as connection:
            decided = start_run(
                connection,
                worker=worker,
                task_id=task_id,
                attempt=attempt,
                forced=force,
                degraded=degraded,
                interval=interval,
                lease=lease,
            )
        if isinstance(decided, Fresh):
            yield decided
        elif isinstance(decided, Busy):
            log.info("Price update already running on worker", holder=decided.worker, run_id=decided.run_id)
            yield Held(decided.worker, since=decided.since)
        else:
            run_id = decided.run_id
            claimed = Claim(run_id, degraded=degraded)
            log.info("Acquired cluster-wide price update lock", run_id=run_id, degraded=degraded)
            with _watchdog(claimed, lock, engine, lease=lease, ttl=ttl):
                yield claimed
    finally:
        if not degraded:
            _release(lock, run_id)


def _take(lock: Lease) -> tuple[Holder | None, bool]:
    """Take the Redis lock: who holds it otherwise, and whether Redis was out of reach."""
    try:
        return lock.take(), False
    except RedisUnavailableError as error:
        log.warning("Redis is out of reach, the database alone decides", reason=str(error))
        return None, True


def _release(lock: Lease, run_id: int | None) -> None:
    try:
        if lock.release():
            log.info("Released cluster-wide price update lock", run_id=run_id)
    except RedisUnavailableError as error:
        log.warning("The cluster-wide price update lock was left to expire", reason=str(error))


@contextmanager
def _watchdog(
    claimed: Claim, lock: Lease, engine: Engine, *, lease: timedelta, ttl: timedelta
) -> Iterator[None]:
    """Renew the lock and the run's heartbeat in a thread for the length of the block."""
    stopped = threading.Event()
    ends = time.monotonic() + ttl.total_seconds()

    def keep() -> None:
        while not stopped.wait(lease.total_seconds() / 3):
            if time.monotonic() >= ends:
                claimed.lose(f"the run is older than {ttl.total_seconds():g} s")
                return
            if lock.renew() is Renewal.LOST:
                claimed.lose("another holds the Redis lock")
                return
            try:
                with writing(engine) as connection:
                    alive = beat_run(connection, claimed.run_id)
            except DatabaseUnavailableError as error:
                log.warning(
                    "The run's heartbeat could not be written", run_id=claimed.run_id, reason=str(error)
                )
                continue
            if not alive:
                claimed.lose("the run was closed by another")
                return

    thread = threading.Thread(target=keep, name="claim-watchdog", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join(timeout=1)
