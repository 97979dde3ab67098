"""Room in the database, asked for through Redis by those who refresh and found it full."""

from typing import Final

from redis import Redis

from prices.errors import RedisUnavailableError
from prices.runtime.redis_client import redis_errors

WANTED_SECONDS: Final = 5
"""How long others make room for one who asks; asked anew while it waits."""


def ask_for_room(redis: Redis, key: str) -> None:
    """Ask web instances to open no connection for a while; without Redis all take their chance."""
    try:
        with redis_errors():
            redis.set(key, b"", px=WANTED_SECONDS * 1000)
    except RedisUnavailableError:
        return


def is_room_wanted(redis: Redis, key: str) -> bool:
    """Say whether someone who refreshes waits for a connection."""
    try:
        with redis_errors():
            return bool(redis.exists(key))
    except RedisUnavailableError:
        return False
