"""Signs of life of workers and beats, in Redis: who spoke last and when.

One sorted set for all processes, its members named by deployment, kind and process, their scores the times:
so each deployment counts its own, and sees whether another is there.
"""

from dataclasses import dataclass, field
from typing import Final

from redis import Redis

from prices.errors import PricesError
from prices.runtime.clock import Clock
from prices.runtime.deployment import Deployment, remember
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import Keys, redis_errors

BEAT_SECONDS: Final = 10.0
"""How often a process says that it lives."""
ALIVE_SECONDS: Final = 45.0
"""How long it counts as alive after that."""
FORGET_SECONDS: Final = 3600
MOST_NAMED: Final = 5
"""How many processes of another deployment are named."""

_SAY: Final = LuaScript("""
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now[1] - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[2])
""")


@dataclass(frozen=True, slots=True)
class Alive:
    """Which processes live, by kind, and how many seconds ago each spoke; those of others by name alone."""

    workers: dict[str, float] = field(default_factory=dict)
    beats: dict[str, float] = field(default_factory=dict)
    others: tuple[str, ...] = ()


def say_alive(redis: Redis, keys: Keys, kind: str, name: str) -> None:
    """Note, by Redis's clock, that the process `name` of a `kind` (worker, beat) lives."""
    _SAY(redis, (keys.alive,), (_member(keys, kind, name), FORGET_SECONDS))


def forget(redis: Redis, keys: Keys, kind: str, name: str) -> None:
    """Note that a process has ended in order."""
    with redis_errors():
        redis.zrem(keys.alive, _member(keys, kind, name))


def who_lives(redis: Redis, keys: Keys) -> Alive:
    """Say which processes live: ours, and those of other deployments."""
    with redis_errors(), redis.pipeline() as pipeline:
        pipeline.time()
        pipeline.zrange(keys.alive, 0, -1, withscores=True)
        (seconds, microseconds), spoken = pipeline.execute()
    now = seconds + microseconds / 1_000_000
    ours: dict[str, dict[str, float]] = {"worker": {}, "beat": {}}
    others = []
    for member, at in spoken:
        age = round(max(0.0, now - at), 1)
        deployment, kind, name = (*member.decode(errors="replace").split("|", 2), "", "")[:3]
        if age <= ALIVE_SECONDS and kind in ours:
            if deployment == keys.deployment:
                ours[kind][name] = age
            else:
                others.append(name)
    return Alive(ours["worker"], ours["beat"], tuple(sorted(others)))


def _member(keys: Keys, kind: str, name: str) -> str:
    return f"{keys.deployment}|{kind}|{name}"


class Heart:
    """One process's sign of life, said at most every ten seconds."""

    def __init__(self, redis: Redis, deployment: Deployment, kind: str, name: str, clock: Clock) -> None:
        self._redis, self._deployment = redis, deployment
        self._kind, self._name, self._clock = kind, name, clock
        self._tried_at: float | None = None
        self._failure: PricesError | None = None

    @property
    def is_due(self) -> bool:
        """Whether it is time to speak: ten seconds after the last time, or the last try."""
        return self._tried_at is None or self._clock.monotonic() - self._tried_at >= BEAT_SECONDS

    def beat(self) -> None:
        """Say that we live, and where our database is, unless we just did.

        Raises RedisUnavailableError, or DatabaseUnavailableError where nobody can tell who we are; then it
        is tried again after the same time, and until then still fails.
        """
        if not self.is_due:
            if self._failure is not None:
                raise self._failure
            return
        self._tried_at = self._clock.monotonic()
        try:
            keys = self._deployment.keys()
            say_alive(self._redis, keys, self._kind, self._name)
            remember(self._redis, keys, self._deployment.address)
        except PricesError as error:
            self._failure = type(error)(str(error))
            raise
        self._failure = None

    def stop(self) -> None:
        """Say that we end."""
        forget(self._redis, self._deployment.keys(), self._kind, self._name)
