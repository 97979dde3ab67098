"""The published catalogue: bodies made once per revision, kept in Redis for every web instance."""

import gzip
import hashlib
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, cast

import msgspec
from redis import Redis
from sqlalchemy import Connection, Engine

from prices.database import reading
from prices.formats import openrouter, pricebeat
from prices.logs import log
from prices.queries import CatalogueState, catalogue_state, current_prices
from prices.redis_client import SNAPSHOT_KEY, redis_errors

BODIES_VERSION = 1
"""Moves when the bodies of one revision would come out otherwise than before."""

# A publication never replaces a later one: a holder that was paused wakes up with an old one.
_PUBLISH: Final = """
local there = redis.call('HGET', KEYS[1], 'refreshed_us')
if there and tonumber(there) > tonumber(ARGV[1]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'refreshed_us', ARGV[1], 'content', ARGV[2], 'publication', ARGV[3])
return 1
"""
# The same content, confirmed later: only the time moves.
_CONFIRM: Final = """
if redis.call('HGET', KEYS[1], 'content') ~= ARGV[2] then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'refreshed_us')) < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'refreshed_us', ARGV[1])
end
return 1
"""


class PublishedBody(msgspec.Struct, frozen=True):
    """One body as it is served: packed with gzip, and its strong validator."""

    packed: bytes
    etag: str

    @classmethod
    def of(cls, body: bytes) -> "PublishedBody":
        """Pack a body; the same bytes give the same validator on every instance."""
        return cls(gzip.compress(body, 6, mtime=0), f'"{hashlib.sha256(body).hexdigest()[:20]}"')


class Publication(msgspec.Struct, frozen=True):
    """One revision as it is served."""

    revision: int
    models: PublishedBody
    prices: PublishedBody


class Stamp(msgspec.Struct, frozen=True):
    """Which content is published, and when it was last confirmed (UTC; None before the first refresh)."""

    content: str
    refreshed_at: datetime | None


def stamp(state: CatalogueState, markup: Decimal) -> Stamp:
    """Name the content that a catalogue's state stands for."""
    parts = f"{state.revision}|{state.body_digest}|{markup}|{BODIES_VERSION}"
    return Stamp(hashlib.sha256(parts.encode()).hexdigest()[:16], state.refreshed_at)


def make_publication(connection: Connection, markup: Decimal) -> tuple[Stamp, Publication]:
    """Make the bodies from the database, as one state of it."""
    state = catalogue_state(connection)
    prices = current_prices(connection)
    models = openrouter.model_list([price.model.document for price in prices], state.envelope)
    ours = pricebeat.price_list(prices, markup, state.revision)
    return stamp(state, markup), Publication(state.revision, PublishedBody.of(models), PublishedBody.of(ours))


def publish_current(redis: Redis, engine: Engine, markup: Decimal) -> None:
    """Bring the published catalogue up to the database, if it is behind.

    Raises RedisUnavailableError or DatabaseUnavailableError; what is committed stays committed.
    """
    with reading(engine) as connection:
        if confirm(redis, stamp(catalogue_state(connection), markup)):
            return
        stamped, publication = make_publication(connection, markup)
    publish(redis, stamped, publication)


def confirm(redis: Redis, stamp: Stamp) -> bool:
    """Tell Redis that its content was confirmed; False when it holds another."""
    with redis_errors():
        script = redis.register_script(_CONFIRM)
        return bool(script(keys=[SNAPSHOT_KEY], args=[_microseconds(stamp), stamp.content]))


def publish(redis: Redis, stamp: Stamp, publication: Publication) -> bool:
    """Put a publication in the place of an older one, in one step; False when a later one is there."""
    with redis_errors():
        script = redis.register_script(_PUBLISH)
        packed = msgspec.msgpack.encode(publication)
        return bool(script(keys=[SNAPSHOT_KEY], args=[_microseconds(stamp), stamp.content, packed]))


def read_stamp(redis: Redis) -> Stamp | None:
    """Ask Redis which content it holds."""
    with redis_errors():
        content, refreshed_us = _bytes(redis.hmget(SNAPSHOT_KEY, ["content", "refreshed_us"]))
    return None if content is None or refreshed_us is None else _stamp(content, refreshed_us)


def read_publication(redis: Redis) -> tuple[Stamp, Publication] | None:
    """Read the published catalogue, as one step."""
    with redis_errors():
        content, refreshed_us, packed = _bytes(
            redis.hmget(SNAPSHOT_KEY, ["content", "refreshed_us", "publication"])
        )
    if content is None or refreshed_us is None or packed is None:
        return None
    try:
        return _stamp(content, refreshed_us), msgspec.msgpack.decode(packed, type=Publication)
    except (msgspec.MsgspecError, ValueError) as error:
        log.warning("What Redis holds is no publication", reason=str(error))
        return None


def _bytes(values: Any) -> list[bytes | None]:
    """Say what the client's types cannot: without `decode_responses` it gives bytes."""
    return cast("list[bytes | None]", values)


def _microseconds(stamp: Stamp) -> int:
    return 0 if stamp.refreshed_at is None else round(stamp.refreshed_at.timestamp() * 1_000_000)


def _stamp(content: bytes, refreshed_us: bytes) -> Stamp:
    microseconds = int(refreshed_us)
    at = datetime.fromtimestamp(microseconds / 1_000_000, UTC) if microseconds else None
    return Stamp(content.decode(), at)
