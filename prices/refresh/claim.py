"""The claim while it is held: checked before anything that counts, renewed by a watchdog, lost once."""

from prices.coordination.lease import Lease, Renewal
from prices.coordination.runs import Attempt, Started, beat_run
from prices.errors import ClaimLostError, DatabaseUnavailableError, RedisUnavailableError, in_full
from prices.runtime.logs import log
from prices.services import Services
from prices.store.database import writing


class Claim:
    """The right to refresh; the run's number is its fence. `check` before anything that counts.

    `state` is what the catalogue was when it was taken, `failed_before` how many runs in a row failed before.
    """

    def __init__(
        self,
        services: Services,
        attempt: Attempt,
        started: Started,
        lock: Lease,
        *,
        degraded: bool,
        taken_at: float,
    ) -> None:
        settings = services.settings
        self.attempt, self.degraded = attempt, degraded
        self.run_id, self.state, self.failed_before = started.run_id, started.state, started.failed_before
        self._engine, self._clock, self._deployment = (
            services.engine,
            services.clock,
            services.keys.deployment,
        )
        self._lock, self._lease = lock, settings.lock_lease.total_seconds()
        self._ends_at = taken_at + settings.lock_ttl.total_seconds()
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
