"""The received body, kept until it is committed, so that nobody has to fetch it again.

A retry, a redelivery or the next worker uses it after a crash or a database failure. It is kept in
Redis and in the database: either may be gone when it is wanted. It lives as long as the freshness
window at most. Of a body that the catalogue is already only a mark is kept.

A run that was superseded while it stood still neither replaces nor takes away what its heir received.
"""

from datetime import datetime, timedelta

import msgspec
import zstandard
from redis import Redis
from sqlalchemy import Engine, bindparam, delete, insert, select

from prices.coordination.freshness import CLOCK_SLACK
from prices.errors import PricesError, RedisUnavailableError, in_full
from prices.runtime.logs import log
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import Keys, redis_errors
from prices.store.database import DatabaseClock, reading, utc_now, writing
from prices.store.queries import CatalogueState
from prices.store.tables import received_bodies
from prices.upstream.received import Receipt, Received

_FORGET_IN_DATABASE = delete(received_bodies).where(received_bodies.c.run_id <= bindparam("run"))
_KEEP = insert(received_bodies).values(received_at=DatabaseClock())
# Two runs that put at once, one of them superseded, may leave a row each.
_LATEST = select(received_bodies).order_by(received_bodies.c.run_id.desc()).limit(1)

# What stands there may be of an earlier release, a string, or of another deployment.
_IS_LATER = """
local is_hash = redis.call('TYPE', KEYS[1])['ok'] == 'hash'
local function is_foreign(deployment)
  return is_hash and redis.call('HGET', KEYS[1], 'deployment') ~= deployment
end
local function is_later(run, deployment)
  if not is_hash or is_foreign(deployment) then return false end
  local there = tonumber(redis.call('HGET', KEYS[1], 'run') or '')
  return there and there > tonumber(run)
end
"""
_PUT_IN_REDIS = LuaScript(f"""{_IS_LATER}
if is_later(ARGV[1], ARGV[4]) then return 0 end
local time = redis.call('TIME')
redis.call('DEL', KEYS[1])
local received_us = string.format('%.0f', time[1] * 1000000 + time[2])
redis.call('HSET', KEYS[1], 'run', ARGV[1], 'received_us', received_us, 'stashed', ARGV[2],
  'deployment', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1
""")
_FORGET_IN_REDIS = LuaScript(f"""{_IS_LATER}
if is_foreign(ARGV[2]) or is_later(ARGV[1], ARGV[2]) then return 0 end
return redis.call('DEL', KEYS[1])
""")

KNOWN = b"known:"
"""Stands, with the digest after it, for a body that the catalogue was already when it was received."""


class StashedBody(msgspec.Struct, frozen=True):
    """A body, packed or marked as `KNOWN`, with the run that received it and the address it came from."""

    run_id: int
    source: str
    packed: bytes


class Stash:
    """Where a run keeps the body it received. A lost body costs a fetch, never a run.

    `redis` is None when it is known to be out of reach; `keys` says where it keeps a body, and whose it is;
    `lifetime` is the freshness window. Another deployment's body is never used. A stash that is not
    `readable` only keeps what is put there.
    """

    def __init__(
        self,
        redis: Redis | None,
        engine: Engine,
        source: str,
        lifetime: timedelta,
        *,
        keys: Keys,
        readable: bool = True,
    ) -> None:
        self._redis, self._key, self._deployment = redis, keys.payload, keys.deployment
        self._engine, self._source, self._lifetime = engine, source, lifetime
        self._readable = readable

    def put(self, run_id: int, body: bytes) -> None:
        """Keep a body, wherever it can be kept."""
        self._put(run_id, zstandard.ZstdCompressor(level=1, write_checksum=True).compress(body))

    def mark(self, run_id: int, digest: str) -> None:
        """Keep that a body was received which the catalogue is already."""
        self._put(run_id, KNOWN + digest.encode())

    def _put(self, run_id: int, packed: bytes) -> None:
        stashed = StashedBody(run_id, self._source, packed)
        for put in (self._put_in_redis, self._put_in_database):
            try:
                put(stashed)
            except PricesError as error:
                log.warning("The received body could not be stashed", reason=in_full(error))

    def get(self, state: CatalogueState) -> Received | Receipt | None:
        """Give the body that the latest run after the last committed one received, or what is known of it.

        Each store may have missed the latest, because it was out of reach then.
        Raises DatabaseUnavailableError where the database cannot say: a run that cannot ask it now could not
        commit either, and the next need not fetch.
        """
        if not self._readable:
            return None
        found = [found for found in (self._find_in_redis(), self._find_in_database()) if found]
        for stashed, at in sorted(found, key=lambda told: told[0].run_id, reverse=True):
            if stashed.source != self._source or stashed.run_id <= (state.refreshed_run_id or 0):
                continue
            if stashed.packed.startswith(KNOWN):
                digest = stashed.packed.removeprefix(KNOWN).decode("ascii", "replace")
                if state.is_what(digest):
                    return Receipt(at, 0.0, None, digest)
                continue
            try:
                return Received(zstandard.decompress(stashed.packed), at)
            except (zstandard.ZstdError, MemoryError) as error:
                log.warning("The stash could not be read", reason=in_full(error))
        return None

    def forget(self, run_id: int) -> None:
        """Forget what Redis keeps: it is committed. The commit itself forgets what the database keeps."""
        if self._redis is None:
            return
        try:
            _FORGET_IN_REDIS(self._redis, (self._key,), (run_id, self._deployment))
        except RedisUnavailableError as error:
            log.warning("The stash could not be emptied", reason=in_full(error))

    def reject(self, run_id: int) -> None:
        """Forget a body that is no price list: no later run could use it either."""
        self.forget(run_id)
        try:
            with writing(self._engine) as connection:
                connection.execute(_FORGET_IN_DATABASE, {"run": run_id})
        except PricesError as error:
            log.warning("The stash could not be emptied", reason=in_full(error))

    def _put_in_redis(self, stashed: StashedBody) -> None:
        if self._redis is not None:
            lifetime = self._lifetime // timedelta(milliseconds=1)
            arguments = (stashed.run_id, msgspec.msgpack.encode(stashed), lifetime, self._deployment)
            _PUT_IN_REDIS(self._redis, (self._key,), arguments)

    def _put_in_database(self, stashed: StashedBody) -> None:
        with writing(self._engine) as connection:
            connection.execute(_FORGET_IN_DATABASE, {"run": stashed.run_id})
            connection.execute(_KEEP, msgspec.structs.asdict(stashed))

    def _find_in_redis(self) -> tuple[StashedBody, datetime] | None:
        if self._redis is None:
            return None
        try:
            with redis_errors(), self._redis.pipeline() as pipeline:
                pipeline.time()
                pipeline.hmget(self._key, ["received_us", "stashed", "deployment"])
                (seconds, microseconds), (received_us, raw, deployment) = pipeline.execute()
            if received_us is None or raw is None or deployment != self._deployment.encode():
                return None
            stashed = msgspec.msgpack.decode(raw, type=StashedBody)
            age = timedelta(seconds=seconds, microseconds=microseconds - int(received_us))
        except (RedisUnavailableError, msgspec.MsgspecError, ValueError, OverflowError) as error:
            log.warning("The stash in Redis could not be read", reason=in_full(error))
            return None
        with reading(self._engine) as connection:
            return self._dated(stashed, age, utc_now(connection))

    def _find_in_database(self) -> tuple[StashedBody, datetime] | None:
        with reading(self._engine) as connection:
            now, row = utc_now(connection), connection.execute(_LATEST).first()
        if row is None:
            return None
        return self._dated(StashedBody(row.run_id, row.source, row.packed), now - row.received_at, now)

    def _dated(
        self, stashed: StashedBody, age: timedelta, now: datetime
    ) -> tuple[StashedBody, datetime] | None:
        """Give a body with its time, or None where it is too old, or of a clock that was set back since."""
        if age > self._lifetime or age < -CLOCK_SLACK:
            return None
        return stashed, now - max(timedelta(0), age)
