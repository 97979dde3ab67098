"""Redis: the client with its time-outs, and the one table of all keys."""

from dataclasses import dataclass
from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from prices.errors import RedisUnavailableError, let_go_of_frames
from prices.runtime.reasons import redis_reason

# What operators look for by its name. The number after a name is the version of what stands there.
LOCK_KEY: Final = "cluster:price_update_lock"
PAYLOAD_KEY: Final = "cluster:price_payload"
DEAD_LETTERS_KEY: Final = "cluster:dead_letters:1"


@dataclass(frozen=True, slots=True)
class Keys:
    """The one table of all keys, for a `prefix` (PRICE_KEY_PREFIX) and a `deployment`, by its id.

    What only one deployment may write and read bears its id, so that another on the same Redis finds nothing
    of it. The lock, the stash and the signs of life are shared: their values say whose they are.

    Where Redis is a cluster, the keys of a script must lie in one hash slot. A key is hashed by what stands
    within braces alone, and the lock, which has none, by its whole name: so all lie in the lock's slot, but
    for the stash and the dead letters, each the only key of its commands.
    """

    prefix: str = ""
    deployment: str = ""

    @property
    def lock(self) -> str:
        """The token of who refreshes."""
        return f"{self.prefix}{LOCK_KEY}"

    @property
    def payload(self) -> str:
        """The body that a run received and has not committed."""
        return f"{self.prefix}{PAYLOAD_KEY}"

    @property
    def dead_letters(self) -> str:
        """The latest messages that no worker could use."""
        return f"{self.prefix}{DEAD_LETTERS_KEY}"

    @property
    def alive(self) -> str:
        """When each worker and beat was heard of last."""
        return self._beside_the_lock("alive:1")

    def address(self, digest: str) -> str:
        """Which deployments have their database at an address."""
        return self._beside_the_lock(f"address:1:{digest}")

    def room(self, digest: str) -> str:
        """The mark that who refreshes waits for a connection to the database at an address."""
        return self._beside_the_lock(f"database_room:2:{digest}")

    def report(self, scope: str) -> str:
        """The health report that the web instances of one deployment share."""
        return self._beside_the_lock(f"health_report:3:{scope}")

    def report_turn(self, scope: str) -> str:
        """The mark of the one whose turn it is to make that report."""
        return self._beside_the_lock(f"health_turn:3:{scope}")

    @property
    def fresh(self) -> str:
        """The mark that the prices are fresh."""
        return self._ours("fresh:2")

    @property
    def snapshot(self) -> str:
        """The published catalogue."""
        return self._ours("snapshot:2")

    @property
    def refill(self) -> str:
        """The mark of who publishes anew what Redis has lost."""
        return self._ours("refill:2")

    @property
    def beat_leader(self) -> str:
        """The token of the beat that leads."""
        return self._ours("beat_leader:2")

    @property
    def beat_sent(self) -> str:
        """When beat last sent a message."""
        return self._ours("beat_sent:2")

    def _ours(self, name: str) -> str:
        return self._beside_the_lock(f"{name}:{self.deployment}")

    def _beside_the_lock(self, name: str) -> str:
        return f"{self.prefix}{{{self.lock}}}:{name}"


REDIS_SECONDS: Final = 1.0
CLIENT_NAME: Final = "pricebeat"
"""How the name of each of our connections begins in `CLIENT LIST`; then come the process and the purpose."""


def make_redis(
    url: str, *, process: str = "command", purpose: str = "state", seconds: float = REDIS_SECONDS
) -> Redis:
    """Make a client that connects when first used and answers or fails within about `seconds`.

    `CLIENT LIST` shows its connections by the kind of `process` and their `purpose`. Retries are off: after a
    lost reply a retried SET NX would say that another holds our own lock.
    """
    over_tcp = {} if url.startswith("unix:") else {"socket_keepalive": True}
    return Redis.from_url(
        url,
        socket_timeout=seconds,
        socket_connect_timeout=seconds,
        **over_tcp,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
        client_name=f"{CLIENT_NAME}:{process}:{purpose}",
    )


class redis_errors:  # noqa: N801 - used as the function that `contextmanager` would make, at a fifth of its cost
    """Turn what the client raises into RedisUnavailableError, without the address's password."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _at: object) -> None:
        if isinstance(error, RedisError | OSError):
            let_go_of_frames(error)
            raise RedisUnavailableError(redis_reason(error)) from error
