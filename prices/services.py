"""What a process needs to do its work: settings, an engine and a Redis client, none connected yet."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from redis import Redis
from sqlalchemy import Engine

from prices.runtime.bounds import Limits
from prices.runtime.clock import Clock, SystemClock
from prices.runtime.deployment import Deployment, address_of
from prices.runtime.redis_client import Keys, make_redis
from prices.runtime.settings import Settings
from prices.store.database import make_engine
from prices.store.queries import deployment_of
from prices.store.room import ask_for_room, is_room_wanted
from prices.store.turns import Patient, Yielding

WEB_LIMITS: Final = Limits(statement=5)

Fetch = Callable[[str, str | None, Callable[[int], None]], bytes]
"""Gets upstream's body: base URL, `Authorization`, and whom to tell the bytes received so far."""


@dataclass(frozen=True, slots=True)
class Services:
    """Settings and clients, made once per process and handed in where they are used."""

    settings: Settings
    engine: Engine
    redis: Redis
    deployment: Deployment
    clock: Clock = field(default_factory=SystemClock)
    fetch: Fetch | None = None
    """None: over HTTP."""
    jitter: Callable[[], float] = random.random

    @classmethod
    def make(
        cls, settings: Settings | None = None, *, process: str = "command", purpose: str = "state"
    ) -> "Services":
        """Make the clients of a kind of `process` for `settings`, the environment's unless given.

        `purpose` is what its connections to Redis are for, as `CLIENT LIST` shows them.
        """
        settings = settings or Settings.from_env()
        redis = make_redis(settings.redis_url, process=process, purpose=purpose)
        room = Keys(settings.key_prefix).room(address_of(settings.database_url))
        turns = Patient(partial(ask_for_room, redis, room))
        engine = make_engine(settings.database_url, process=process, turns=turns)
        return cls(settings, engine, redis, _deployment(settings, engine, redis))

    @classmethod
    def make_for_web(
        cls, settings: Settings, redis: Redis, deployment: Deployment | None = None
    ) -> "Services":
        """Make the clients of a web process around the Redis client, and the deployment, that it has.

        It keeps a connection to the database for seconds only, and makes way for those who refresh.
        """
        room = Keys(settings.key_prefix).room(address_of(settings.database_url))
        turns = Yielding(partial(is_room_wanted, redis, room))
        engine = make_engine(settings.database_url, process="web", limits=WEB_LIMITS, turns=turns)
        return cls(settings, engine, redis, deployment or _deployment(settings, engine, redis))

    @property
    def keys(self) -> Keys:
        """The table of keys in Redis. Raises DatabaseUnavailableError while none can tell the deployment."""
        return self.deployment.keys()

    def looking_in(self) -> "Services":
        """Give the same for who looks at the database now and then: no connection is kept after it."""
        return replace(self, engine=self.engine.execution_options(pricebeat_brief=True))

    def close(self) -> None:
        """Close every connection that is not in use."""
        self.engine.dispose()
        self.redis.close()


def _deployment(settings: Settings, engine: Engine, redis: Redis) -> Deployment:
    """Make what learns the deployment: the database is asked once, and no connection is kept after it."""
    ask = partial(deployment_of, engine.execution_options(pricebeat_brief=True))
    return Deployment(redis, settings.key_prefix, address_of(settings.database_url), ask)
