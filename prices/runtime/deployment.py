"""Which deployment a process belongs to: one database, and all processes that work on it.

Its id was made with the database's tables, and is the database's to tell. Redis remembers at which address a
database with which id was found, for a process that must answer before its database does.
"""

import hashlib
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from redis import Redis

from prices.errors import DatabaseUnavailableError, RedisUnavailableError
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import Keys, redis_errors

REMEMBER_SECONDS: Final = 30 * 24 * 3600
"""How long Redis remembers an address at which nobody has found a database again."""
DOUBT_SECONDS: Final = 2 * 24 * 3600
"""How long two databases that were found at one address keep each other from being believed.

Each is found at its refreshes: longer than the time between two, or the one that came last would be believed.
"""

_REMEMBER: Final = LuaScript("""
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[3])
""")


def address_of(database_url: str) -> str:
    """Name where a database is, as a digest: without passwords, and a file or socket by its machine too."""
    parts = urlsplit(database_url)
    options = sorted((name, text) for name, text in parse_qsl(parts.query) if "pass" not in name)
    host = parts.hostname or socket.gethostname()
    where = f"{parts.scheme.partition('+')[0]}|{parts.username}|{host}|{parts.port}|{parts.path}|{options}"
    return hashlib.blake2b(where.encode(), digest_size=8).hexdigest()


def remember(redis: Redis, keys: Keys, address: str) -> None:
    """Note in Redis that the database at an address is that of the deployment which `keys` name."""
    _REMEMBER(redis, (keys.address(address),), (keys.deployment, DOUBT_SECONDS, REMEMBER_SECONDS))


def recall(redis: Redis, prefix: str, address: str) -> Keys | None:
    """Give the keys of the deployment whose database is at an address; None unless it is the only one.

    Two networks may each have a database called `db`. Then only the database itself can tell.
    """
    with redis_errors():
        found: Any = redis.zrange(Keys(prefix).address(address), 0, 1)
    ids = [one.decode(errors="replace") for one in found]
    return Keys(prefix, ids[0]) if len(ids) == 1 else None


class Deployment:
    """The deployment of one process, learnt when it is first needed and kept.

    `ask` asks the database for its id, and raises DatabaseUnavailableError where it does not answer.
    """

    def __init__(self, redis: Redis, prefix: str, address: str, ask: Callable[[], str]) -> None:
        self.address = address
        self._redis, self._prefix, self._ask = redis, prefix, ask
        self._keys: Keys | None = None

    @property
    def scope(self) -> str:
        """What its processes have in common and no others: its id, or, while that is unknown, its address."""
        keys = self.known()
        return keys.deployment if keys else self.address

    def keys(self) -> Keys:
        """Give the table of keys; by Redis's memory where the database does not answer.

        Raises DatabaseUnavailableError or SchemaBehindError where neither can tell.
        """
        if self._keys is not None:
            return self._keys
        try:
            return self.learn(self._ask())
        except DatabaseUnavailableError:
            if keys := self.known():
                return keys
            raise

    def known(self) -> Keys | None:
        """Give the table of keys without asking the database; None while that alone can tell."""
        if self._keys is None:
            with suppress(RedisUnavailableError):
                self._keys = recall(self._redis, self._prefix, self.address)
        return self._keys

    def learn(self, deployment: str) -> Keys:
        """Believe the database, which has just told its id."""
        if self._keys is None or self._keys.deployment != deployment:
            self._keys = Keys(self._prefix, deployment)
        return self._keys
