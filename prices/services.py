"""What a process needs to do its work: settings, an engine and a Redis client, none connected yet."""

from collections.abc import Callable
from dataclasses import dataclass, field

from redis import Redis
from sqlalchemy import Engine

from prices import download
from prices.clock import Clock, SystemClock
from prices.database import make_engine
from prices.redis_client import REDIS_SECONDS, make_redis
from prices.settings import Settings

Fetch = Callable[[str, str | None, Callable[[int], None]], bytes]
"""Gets upstream's body: base URL, `Authorization`, and whom to tell the bytes received so far."""


@dataclass(frozen=True, slots=True)
class Services:
    """Settings and clients, made once per process and handed in where they are used."""

    settings: Settings
    engine: Engine
    redis: Redis
    clock: Clock = field(default_factory=SystemClock)
    fetch: Fetch = download.fetch

    @classmethod
    def make(cls, settings: Settings | None = None, *, redis_seconds: float = REDIS_SECONDS) -> "Services":
        """Make the clients for `settings`, the environment's unless given.

        `redis_seconds` is how long one question to Redis may take.
        """
        settings = settings or Settings.from_env()
        redis = make_redis(settings.redis_url, seconds=redis_seconds)
        return cls(settings, make_engine(settings.database_url), redis)
