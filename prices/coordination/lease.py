"""A named lock in Redis, held by a token for a lease: taken with NX, renewed and given back by its holder.

The claim to refresh and the leadership among beats are both such leases. Each operation is one
command, so one round trip; a Lua script makes it one step for every other client.
"""

import secrets
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Final

from redis import Redis

from prices.errors import RedisUnavailableError
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import redis_errors

_MILLISECOND: Final = timedelta(milliseconds=1)

# Taken: an empty answer. Held: the holder's token, then the milliseconds left. Barred: the milliseconds left
# of the key that bars, then what stands there. No key of ours is without end: such a one was set by hand.
_TAKE: Final = LuaScript("""
if KEYS[2] then
  local bar = redis.call('GET', KEYS[2])
  local bar_left = bar and redis.call('PTTL', KEYS[2])
  if bar and bar_left ~= -1 then return {bar_left, bar} end
end
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then
  local left = redis.call('PTTL', KEYS[1])
  if left ~= -1 then return {holder, left} end
  redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])
return {}
""")
# A key that is gone (evicted, or Redis came back empty) is taken anew: nobody else has it.
_RENEW: Final = LuaScript("""
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
""")
_RELEASE: Final = LuaScript("""
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
""")


class Renewal(Enum):
    """What became of an attempt to renew."""

    RENEWED = "renewed"
    LOST = "lost"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lease, by its token, and for how long still if it is not renewed."""

    token: str
    left: timedelta

    @property
    def name(self) -> str:
        """The process that holds it."""
        return self.token.split("|", 1)[0]

    @property
    def deployment(self) -> str:
        """The deployment that holds it; empty for a token that was set by hand or by an earlier release."""
        parts = self.token.split("|")
        return parts[3] if len(parts) > 4 else ""

    def is_foreign(self, deployment: str) -> bool:
        """Whether another deployment than this one holds it, as far as its token tells."""
        return self.deployment not in ("", deployment)

    def since(self, now: float) -> timedelta | None:
        """For how long it has been held, by the clocks of holder and asker (Unix seconds): for people."""
        parts = self.token.split("|")
        if len(parts) < 4 or not (parts[2].isascii() and parts[2].isdigit()):
            return None
        return timedelta(seconds=max(0.0, now - min(int(parts[2]), now)))


@dataclass(frozen=True, slots=True)
class Barred:
    """A lease was not taken because of another key: what stands there, and for how long still."""

    value: str
    left: timedelta


def make_token(*parts: str) -> str:
    """Make a token that no other holder has: the given names and a nonce."""
    return "|".join((*parts, secrets.token_hex(8)))


class Lease:
    """One holder's view of a named lock. Raises RedisUnavailableError where it cannot be known."""

    def __init__(self, redis: Redis, key: str, token: str, *, lease: timedelta) -> None:
        self.token = token
        self._redis = redis
        self._key = key
        self._milliseconds = int(lease.total_seconds() * 1000)

    def take(self, *, unless: str | None = None) -> Holder | Barred | None:
        """Take the lock, unless the key `unless` is there: None when it is ours, else what is in the way.

        After a lost reply the value is read back, so that we are never locked out by ourselves.
        """
        keys = (self._key,) if unless is None else (self._key, unless)
        try:
            answer = _TAKE(self._redis, keys, (self.token, self._milliseconds))
        except RedisUnavailableError:
            return self._read_back()
        if not answer:
            return None
        if isinstance(answer[0], int):
            left, bar = answer
            return Barred(bar.decode(errors="replace"), max(0, left) * _MILLISECOND)
        token, left = answer
        return Holder(token.decode(errors="replace"), max(0, left) * _MILLISECOND)

    def _read_back(self) -> Holder | None:
        holder = read_holder(self._redis, self._key)
        if holder is None:
            raise RedisUnavailableError("Redis failed while the lock was taken")
        return None if holder.token == self.token else holder

    def holder(self) -> Holder | None:
        """Say who holds the lock."""
        return read_holder(self._redis, self._key)

    def renew(self) -> Renewal:
        """Begin the lease anew; LOST when another holds the lock now, UNKNOWN without Redis."""
        try:
            renewed = _RENEW(self._redis, (self._key,), (self.token, self._milliseconds))
        except RedisUnavailableError:
            return Renewal.UNKNOWN
        return Renewal.RENEWED if renewed else Renewal.LOST

    def release(self) -> bool:
        """Give the lock back if it is still ours."""
        return bool(_RELEASE(self._redis, (self._key,), (self.token,)))


def read_holder(redis: Redis, key: str) -> Holder | None:
    """Say who holds a lock, without touching it."""
    with redis_errors(), redis.pipeline() as pipeline:
        pipeline.get(key)
        pipeline.pttl(key)
        token, left = pipeline.execute()
    return Holder(token.decode(errors="replace"), max(0, left) * _MILLISECOND) if token else None
