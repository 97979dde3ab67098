"""Signs of life of workers and beats, in Redis: who spoke last and when.

One sorted set per kind of process, its members the processes, their scores the times.
"""

from typing import Final

from redis import Redis

from prices.errors import RedisUnavailableError
from prices.runtime.clock import Clock
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import HEARTBEAT_KEY, redis_errors

BEAT_SECONDS: Final = 10.0
"""How often a process says that it lives."""
ALIVE_SECONDS: Final = 45.0
"""How long it counts as alive after that."""
FORGET_SECONDS: Final = 3600

_SAY: Final = LuaScript("""
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now[1] - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
""")


def say_alive(redis: Redis, kind: str, name: str) -> None:
    """Note, by Redis's clock, that the process `name` of a `kind` (worker, beat) lives."""
    _SAY(redis, (HEARTBEAT_KEY.format(kind=kind),), (name, FORGET_SECONDS))


def forget(redis: Redis, kind: str, name: str) -> None:
    """Note that a process has ended in order."""
    with redis_errors():
        redis.zrem(HEARTBEAT_KEY.format(kind=kind), name)


def who_lives(redis: Redis, kind: str) -> dict[str, float]:
    """Say which processes of a kind live, and how many seconds ago each spoke."""
    with redis_errors(), redis.pipeline() as pipeline:
        pipeline.time()
        pipeline.zrange(HEARTBEAT_KEY.format(kind=kind), 0, -1, withscores=True)
        (seconds, microseconds), spoken = pipeline.execute()
    now = seconds + microseconds / 1_000_000
    ages = {name.decode(): round(max(0.0, now - at), 1) for name, at in spoken}
    return {name: age for name, age in ages.items() if age <= ALIVE_SECONDS}


class Heart:
    """One process's sign of life, said at most every ten seconds."""

    def __init__(self, redis: Redis, kind: str, name: str, clock: Clock) -> None:
        self._redis, self._kind, self._name, self._clock = redis, kind, name, clock
        self._tried_at: float | None = None
        self._failure: str | None = None

    def beat(self) -> None:
        """Say that we live, unless we just did.

        Raises RedisUnavailableError; then it is tried again after the same time, and until then still fails.
        """
        now = self._clock.monotonic()
        if self._tried_at is not None and now - self._tried_at < BEAT_SECONDS:
            if self._failure is not None:
                raise RedisUnavailableError(self._failure)
            return
        self._tried_at = now
        try:
            say_alive(self._redis, self._kind, self._name)
        except RedisUnavailableError as error:
            self._failure = str(error)
            raise
        self._failure = None

    def stop(self) -> None:
        """Say that we end."""
        forget(self._redis, self._kind, self._name)
