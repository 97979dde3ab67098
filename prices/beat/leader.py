"""The lead among any number of beats: a lease in Redis, like the claim to refresh."""

from prices.coordination.lease import Lease, Renewal, make_token
from prices.errors import RedisUnavailableError
from prices.runtime.logs import log
from prices.services import Services


class Leadership:
    """Whether this beat leads. Without Redis each beat leads: the claim stands behind them."""

    def __init__(self, services: Services, name: str) -> None:
        self._services, self._token = services, make_token(name)
        self._clock = services.clock
        self._renew_every = services.settings.lock_lease.total_seconds() / 3
        self._renewed_at = 0.0
        self.leads = False

    def hold(self) -> bool:
        """Take or keep the lead; ask Redis no more often than a third of the lease while leading.

        Raises DatabaseUnavailableError where it is not known yet whose beats these are.
        """
        now = self._clock.monotonic()
        if self.leads and now - self._renewed_at < self._renew_every:
            return True
        leads = self._keep() if self.leads else self._take()
        if leads != self.leads:
            log.info("Beat leads now" if leads else "Beat stands by")
        self.leads, self._renewed_at = leads, now
        return leads

    def _take(self) -> bool:
        try:
            return self._lease().take() is None
        except RedisUnavailableError:
            return True

    def _keep(self) -> bool:
        return self._lease().renew() is not Renewal.LOST

    def give_up(self) -> None:
        """Let another lead at once. Raises RedisUnavailableError; the lease ends by itself then."""
        self._lease().release()

    def _lease(self) -> Lease:
        services = self._services
        return Lease(
            services.redis, services.keys.beat_leader, self._token, lease=services.settings.lock_lease
        )
