"""The received body, kept until it is committed, so that nobody has to fetch it again.

A retry, a redelivery or the next worker uses it after a crash or a database failure. It is kept in
Redis and in the database: either may be gone when it is wanted. It lives as long as the freshness
window at most. Of a body that the catalogue is already only a mark is kept.
"""

from datetime import datetime, timedelta

import msgspec
import zstandard
from redis import Redis
from sqlalchemy import Engine, bindparam, delete, insert, select

from prices.database import DatabaseClock, reading, utc_now, writing
from prices.errors import PricesError, RedisUnavailableError, in_full
from prices.logs import log
from prices.models import received_bodies
from prices.queries import CatalogueState
from prices.redis_client import PAYLOAD_KEY, redis_errors
from prices.shelf import Receipt, Received

_EMPTY = delete(received_bodies)
# A run that was superseded while it stood still must not take away what its heir received.
_REPLACE = _EMPTY.where(received_bodies.c.run_id <= bindparam("run"))
_KEEP = insert(received_bodies).values(received_at=DatabaseClock())
# Two runs that put at once, one of them superseded, may leave a row each.
_LATEST = select(received_bodies).order_by(received_bodies.c.run_id.desc()).limit(1)


KNOWN = b"known:"
"""Stands, with the digest after it, for a body that the catalogue was already when it was received."""


class StashedBody(msgspec.Struct, frozen=True):
    """A body, packed or marked as `KNOWN`, with the run that received it and the address it came from."""

    run_id: int
    source: str
    packed: bytes


class Stash:
    """Where a run keeps the body it received. A lost body costs a fetch, never a run.

    `redis` is None when it is known to be out of reach; `lifetime` is the freshness window. One that is not
    `readable` only keeps what is put there.
    """

    def __init__(
        self,
        redis: Redis | None,
        engine: Engine,
        source: str,
        lifetime: timedelta,
        *,
        readable: bool = True,
    ) -> None:
        self._redis, self._engine, self._source, self._lifetime = redis, engine, source, lifetime
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

    def forget(self) -> None:
        """Forget what Redis keeps: it is committed. The commit itself forgets what the database keeps."""
        if self._redis is None:
            return
        try:
            with redis_errors():
                self._redis.delete(PAYLOAD_KEY)
        except RedisUnavailableError as error:
            log.warning("The stash could not be emptied", reason=in_full(error))

    def reject(self) -> None:
        """Forget a body that is no price list: no later run could use it either."""
        self.forget()
        try:
            with writing(self._engine) as connection:
                connection.execute(_EMPTY)
        except PricesError as error:
            log.warning("The stash could not be emptied", reason=in_full(error))

    def _put_in_redis(self, stashed: StashedBody) -> None:
        if self._redis is not None:
            with redis_errors():
                self._redis.set(PAYLOAD_KEY, msgspec.msgpack.encode(stashed), px=self._lifetime)

    def _put_in_database(self, stashed: StashedBody) -> None:
        with writing(self._engine) as connection:
            connection.execute(_REPLACE, {"run": stashed.run_id})
            connection.execute(_KEEP, msgspec.structs.asdict(stashed))

    def _find_in_redis(self) -> tuple[StashedBody, datetime] | None:
        if self._redis is None:
            return None
        try:
            with redis_errors(), self._redis.pipeline() as pipeline:
                pipeline.get(PAYLOAD_KEY)
                pipeline.pttl(PAYLOAD_KEY)
                raw, left = pipeline.execute()
            if raw is None:
                return None
            stashed = msgspec.msgpack.decode(raw, type=StashedBody)
        except (RedisUnavailableError, msgspec.MsgspecError) as error:
            log.warning("The stash in Redis could not be read", reason=in_full(error))
            return None
        age = self._lifetime - timedelta(milliseconds=max(0, left))
        with reading(self._engine) as connection:
            return stashed, utc_now(connection) - max(timedelta(0), age)

    def _find_in_database(self) -> tuple[StashedBody, datetime] | None:
        with reading(self._engine) as connection:
            now, row = utc_now(connection), connection.execute(_LATEST).first()
        if row is None or now - row.received_at > self._lifetime:
            return None
        return StashedBody(row.run_id, row.source, row.packed), min(now, row.received_at)
