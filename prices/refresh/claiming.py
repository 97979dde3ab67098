"""Who may refresh.

1. Redis: `SET NX` of the lock with a lease, or who has it, or the mark that the prices are fresh. A refusal
   costs one round trip.
2. The database, which is the judge: fresh, waiting, another run alive, or a run of our own. A run may commit
   while its row is `running` and its heart beats; its number is the fence.
3. While the claim is held a watchdog renews both every third of the lease, never past PRICE_LOCK_TTL.
4. The lock is given back, whatever happened.

Where Redis is out of reach, or another deployment on it holds the lock, the database decides alone: still one
fetch, never everyone, never nobody.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from prices.coordination.freshness import fresh_for
from prices.coordination.lease import Barred, Holder, Lease, make_token
from prices.coordination.runs import Attempt, Busy, Fresh, Started, Waiting, start_run
from prices.errors import RedisUnavailableError, in_full
from prices.refresh.claim import Claim
from prices.runtime.logs import log
from prices.services import Services
from prices.store.database import writing


@contextmanager
def claim(
    services: Services, attempt: Attempt, *, trust_marker: bool = False
) -> Iterator[Claim | Fresh | Busy | Waiting]:
    """Give the claim for the length of the block, or say why there is none.

    With `trust_marker` the mark that a publication leaves in Redis is enough to call the prices fresh, and
    the database is not asked. Raises DatabaseUnavailableError where the database cannot decide.
    """
    lock, clock, lease = _lock_for(services, attempt), services.clock, services.settings.lock_lease
    taken_at = clock.monotonic()
    refused, degraded = _take(services, lock, trust_marker=trust_marker and not attempt.forced)
    if degraded:
        taken_at = clock.monotonic()  # the lease is the database's alone
    if refused is not None:
        yield refused
        return
    run_id = None
    try:
        decided = _start_run(services, attempt, lock, degraded=degraded)
        if not isinstance(decided, Started):
            yield decided
            return
        run_id = decided.run_id
        log.info("Acquired cluster-wide price update lock", run_id=run_id, degraded=degraded)
        claimed = Claim(services, attempt, decided, lock, degraded=degraded, taken_at=taken_at)
        with clock.periodically(lease.total_seconds() / 3, claimed.renew):
            yield claimed
    finally:
        _release(lock, run_id)  # where Redis was out of reach too: it may have taken it, or a renewal later


def _lock_for(services: Services, attempt: Attempt) -> Lease:
    keys, now = services.keys, str(int(time.time()))
    token = make_token(attempt.worker, attempt.task_id or "-", now, keys.deployment)
    return Lease(services.redis, keys.lock, token, lease=services.settings.lock_lease)


def _take(services: Services, lock: Lease, *, trust_marker: bool) -> tuple[Busy | Fresh | None, bool]:
    """Take the lock in Redis: why there is no claim, and whether the database decides alone."""
    keys = services.keys
    try:
        refused = lock.take(unless=keys.fresh if trust_marker else None)
        if isinstance(refused, Barred) and not refused.value.isdecimal():
            refused = lock.take()  # no publication wrote that mark
    except RedisUnavailableError as error:
        log.warning("Redis is out of reach, the database alone decides", reason=in_full(error))
        return None, True
    if isinstance(refused, Barred):
        age = fresh_for(services.settings.refresh_interval) - refused.left
        return Fresh(max(timedelta(0), age), int(refused.value)), False
    if isinstance(refused, Holder):
        return _busy_with(refused, keys.deployment)
    return None, False


def _busy_with(holder: Holder, deployment: str) -> tuple[Busy | None, bool]:
    """Say that another holds the lock; one of another deployment is named and not obeyed."""
    if holder.is_foreign(deployment):
        log.error(
            "Another deployment on this Redis holds the price update lock, the database alone decides; "
            "set PRICE_KEY_PREFIX for one of the two",
            holder=holder.name,
            deployment=holder.deployment,
        )
        return None, True
    left = holder.left.total_seconds()
    log.info("Price update already running on worker", holder=holder.name, left=left)
    return Busy(holder.name, holder.since(time.time())), False


def _start_run(
    services: Services, attempt: Attempt, lock: Lease, *, degraded: bool
) -> Started | Fresh | Busy | Waiting:
    """Let the database decide."""
    settings = services.settings
    with writing(services.engine) as connection:
        decided = start_run(
            connection,
            attempt,
            token=lock.token,
            degraded=degraded,
            interval=settings.refresh_interval,
            lease=settings.lock_lease,
        )
    if isinstance(decided, Busy):
        log.info("Price update already running on worker", holder=decided.holder, run_id=decided.run_id)
    return decided


def _release(lock: Lease, run_id: int | None) -> None:
    try:
        if lock.release():
            log.info("Released cluster-wide price update lock", run_id=run_id)
    except RedisUnavailableError as error:
        log.warning("The cluster-wide price update lock was left to expire", reason=in_full(error))
