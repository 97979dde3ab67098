"""Who may refresh: the Redis lock first, then the database's word, then a watchdog that keeps both.

The database is the judge: a run is the one that may commit while its row is `running` and its heart
beats. Redis makes the refusal cheap. With Redis out of reach the database decides alone: still one
fetch, never everyone, never nobody. So it does where another deployment on the same Redis holds the lock.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Engine

from prices.coordination.freshness import fresh_for
from prices.coordination.lease import Barred, Holder, Lease, Renewal, make_token
from prices.coordination.runs import Attempt, Busy, Fresh, Started, Waiting, beat_run, start_run
from prices.errors import ClaimLostError, DatabaseUnavailableError, RedisUnavailableError, in_full
from prices.runtime.clock import Clock
from prices.runtime.logs import log
from prices.services import Services
from prices.store.database import writing


@dataclass(frozen=True, slots=True)
class Held:
    """The claim was refused because another holds it: who, and how long or for how long still."""

    holder: str
    since: timedelta | None = None
    left: timedelta | None = None


class Claim:
    """The right to refresh; the run's number is its fence. `check` before anything that counts.

    `state` is what the catalogue was when it was taken, `failed_before` how many runs in a row failed before.
    """

    def __init__(
        self,
        attempt: Attempt,
        started: Started,
        lock: Lease,
        engine: Engine,
        clock: Clock,
        *,
        degraded: bool,
        taken_at: float,
        lease: timedelta,
        ttl: timedelta,
        deployment: str,
    ) -> None:
        self.attempt = attempt
        self.run_id, self.state, self.failed_before = started.run_id, started.state, started.failed_before
        self.degraded = degraded
        self._deployment = deployment
        self._lock, self._engine, self._clock = lock, engine, clock
        self._lease = lease.total_seconds()
        self._ends_at = taken_at + ttl.total_seconds()
        self._held_at = taken_at
        self._redis_lost = False
        self._lost: str | None = None

    def check(self) -> None:
        """Raise ClaimLostError once the claim is gone, or may be: nobody renewed it for a lease.

        A process that was stopped finds out here, before another could have taken over: the lease is
        counted from before it was asked for.
        """
        if not self.holds():
            raise ClaimLostError(f"claim lost: {self._lost}")

    def holds(self) -> bool:
        """Whether the claim is still there for certain."""
        unrenewed = self._clock.monotonic() - self._held_at
        if unrenewed > self._lease:
            self._lose(f"it was not renewed for {unrenewed:.0f} s")
        return self._lost is None

    def renew(self) -> bool:
        """Begin the lease anew, in Redis and in the run's row; False once the claim is lost."""
        if self._clock.monotonic() >= self._ends_at:
            self._lose("the run has used up the time a claim may last")
        elif self._another_holds_the_lock():
            self._lose("another holds the Redis lock")
        else:
            self._beat()
        return self._lost is None

    def _another_holds_the_lock(self) -> bool:
        """Whether Redis names another twice in a row: once may be one whom the database refuses."""
        before, self._redis_lost = self._redis_lost, self._lost_the_lock()
        return before and self._redis_lost

    def _lost_the_lock(self) -> bool:
        """Whether another of this deployment holds the lock: what another deployment holds is not obeyed."""
        if self._lock.renew() is not Renewal.LOST:
            return False
        try:
            holder = self._lock.holder()
        except RedisUnavailableError:
            return False
        return holder is not None and not holder.is_foreign(self._deployment)

    def _beat(self) -> None:
        asked_at = self._clock.monotonic()  # not earlier: a Redis that hangs has cost its time by now
        try:
            with writing(self._engine) as connection:
                alive = beat_run(connection, self.run_id)
        except DatabaseUnavailableError as error:
            log.warning("The run's heartbeat could not be written", run_id=self.run_id, reason=in_full(error))
            return
        if alive:
            self._held_at = asked_at
        else:
            self._lose("the run was closed by another")

    def _lose(self, why: str) -> None:
        self._lost = self._lost or why


@contextmanager
def claim(
    services: Services, attempt: Attempt, *, trust_marker: bool = False
) -> Iterator[Claim | Fresh | Held | Waiting]:
    """Give the claim for the length of the block, or say why there is none.

    With `trust_marker` the mark that a publication leaves in Redis is enough to call the prices fresh:
    one round trip and no question to the database. The lock is renewed every third of the lease while
    the block runs, never past PRICE_LOCK_TTL, and given back at its end.
    Raises DatabaseUnavailableError where the database cannot decide.
    """
    settings, clock, keys = services.settings, services.clock, services.keys
    lock = Lease(
        services.redis,
        keys.lock,
        make_token(attempt.worker, attempt.task_id or "-", str(int(time.time())), keys.deployment),
        lease=settings.lock_lease,
    )
    taken_at = clock.monotonic()
    refused, degraded = _take(lock, keys.fresh if trust_marker and not attempt.forced else None)
    if isinstance(refused, Holder) and refused.is_foreign(keys.deployment):
        log.error(
            "Another deployment on this Redis holds the price update lock, the database alone decides; "
            "set PRICE_KEY_PREFIX for one of the two",
            holder=refused.name,
            deployment=refused.deployment,
        )
        refused, degraded = None, True
    if degraded:
        taken_at = clock.monotonic()  # the lease is the database's alone
    if isinstance(refused, Barred):
        age = fresh_for(settings.refresh_interval) - refused.left
        yield Fresh(max(timedelta(0), age), int(refused.value))
        return
    if refused is not None:
        left = refused.left.total_seconds()
        log.info("Price update already running on worker", holder=refused.name, left=left)
        yield Held(refused.name, since=refused.since(time.time()), left=refused.left)
        return
    run_id = None
    try:
        with writing(services.engine) as connection:
            decided = start_run(
                connection,
                attempt,
                token=lock.token,
                degraded=degraded,
                interval=settings.refresh_interval,
                lease=settings.lock_lease,
            )
        if isinstance(decided, Fresh | Waiting):
            yield decided
        elif isinstance(decided, Busy):
            log.info("Price update already running on worker", holder=decided.worker, run_id=decided.run_id)
            yield Held(decided.worker, since=decided.since)
        else:
            run_id = decided.run_id
            log.info("Acquired cluster-wide price update lock", run_id=run_id, degraded=degraded)
            claimed = Claim(
                attempt,
                decided,
                lock,
                services.engine,
                clock,
                degraded=degraded,
                taken_at=taken_at,
                lease=settings.lock_lease,
                ttl=settings.lock_ttl,
                deployment=keys.deployment,
            )
            with clock.periodically(settings.lock_lease.total_seconds() / 3, claimed.renew):
                yield claimed
    finally:
        _release(lock, run_id)  # where Redis was out of reach too: it may have taken it, or a renewal later


def _take(lock: Lease, unless: str | None) -> tuple[Holder | Barred | None, bool]:
    """Take the Redis lock: why not otherwise, and whether Redis was out of reach."""
    try:
        refused = lock.take(unless=unless)
        if isinstance(refused, Barred) and not refused.value.isdecimal():
            refused = lock.take()  # no publication wrote that mark
    except RedisUnavailableError as error:
        log.warning("Redis is out of reach, the database alone decides", reason=in_full(error))
        return None, True
    return refused, False


def _release(lock: Lease, run_id: int | None) -> None:
    try:
        if lock.release():
            log.info("Released cluster-wide price update lock", run_id=run_id)
    except RedisUnavailableError as error:
        log.warning("The cluster-wide price update lock was left to expire", reason=in_full(error))
