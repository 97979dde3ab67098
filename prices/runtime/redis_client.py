"""Redis: the client with its time-outs, and the one table of all keys."""

from typing import Final

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from prices.errors import RedisUnavailableError, let_go_of_frames
from prices.runtime.reasons import redis_reason

# The number at the end of a key is the version of what stands under it. The lock and the stash
# keep their bare names: operators look for them, and a token or a body has no version.
LOCK_KEY: Final = "cluster:price_update_lock"
PAYLOAD_KEY: Final = "cluster:price_payload"
FRESH_KEY: Final = "cluster:price_fresh:1"
SNAPSHOT_KEY: Final = "cluster:price_snapshot:1"
REFILL_KEY: Final = "cluster:price_refill:1"
BEAT_LEADER_KEY: Final = "cluster:beat_leader:1"
BEAT_SENT_KEY: Final = "cluster:beat_sent:1"
ROOM_KEY: Final = "cluster:database_room:1"
REPORT_KEY: Final = "cluster:health_report:1"
REPORT_TURN_KEY: Final = "cluster:health_turn:1"
HEARTBEAT_KEY: Final = "cluster:heartbeat:1:{kind}"
DEAD_LETTERS_KEY: Final = "cluster:dead_letters:1"

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
