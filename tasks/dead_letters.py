"""Messages that could not be used: kept for operators, in Redis, bounded in number and bytes.

`redis-cli XREVRANGE cluster:dead_letters:1 + - COUNT 10` shows the latest, each with its time.
PRICE_KEY_PREFIX stands before that name.
"""

from typing import Final

from prices.errors import RedisUnavailableError, in_full
from prices.runtime.logs import log
from prices.runtime.redis_client import Keys, make_redis, redis_errors
from prices.runtime.settings import Settings

MOST_LETTERS: Final = 100
MOST_BYTES: Final = 4096
"""Of each message, its beginning."""
KEPT_SECONDS: Final = 30 * 24 * 3600


def bury(message: bytes, *, queue: str, fault: str) -> None:
    """Log that a message is dropped, and keep its beginning. Without Redis the log is all."""
    log.error("Dropped a message that cannot be used", reason=fault, queue=queue, bytes=len(message))
    letter = {"reason": fault, "queue": queue, "bytes": len(message), "message": message[:MOST_BYTES]}
    settings = Settings.from_env()
    key = Keys(settings.key_prefix).dead_letters
    try:
        with (
            redis_errors(),
            make_redis(settings.redis_url, process="worker", purpose="dead-letters") as redis,
            redis.pipeline() as pipeline,
        ):
            pipeline.xadd(key, letter, maxlen=MOST_LETTERS, approximate=False)
            pipeline.expire(key, KEPT_SECONDS)
            pipeline.execute()
    except RedisUnavailableError as error:
        log.warning("A dropped message could not be kept", reason=in_full(error))
