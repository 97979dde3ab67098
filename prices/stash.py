"""The received body, kept in Redis until it is committed, so that nobody has to fetch it again.

A retry, a redelivery or the next worker uses it after a crash or a database failure. It lives as
long as the freshness window at most. Every function takes None for a Redis that is known to be out
of reach, and does nothing then.
"""

import gzip
from datetime import timedelta
from typing import cast

import msgspec
from redis import Redis

from prices.errors import RedisUnavailableError
from prices.logs import log
from prices.redis_client import PAYLOAD_KEY, redis_errors


class StashedBody(msgspec.Struct, frozen=True):
    """A body, packed, with the run that received it and the address it came from."""

    run_id: int
    source: str
    packed: bytes


def put_body(redis: Redis | None, run_id: int, source: str, body: bytes, lifetime: timedelta) -> None:
    """Keep a body; without Redis the run goes on without a net."""
    if redis is None:
        return
    stashed = StashedBody(run_id, source, gzip.compress(body, 1))
    try:
        with redis_errors():
            redis.set(PAYLOAD_KEY, msgspec.msgpack.encode(stashed), px=lifetime)
    except RedisUnavailableError as error:
        log.warning("The received body could not be stashed", reason=str(error))


def get_body(redis: Redis | None, source: str, committed_run_id: int) -> bytes | None:
    """Give the body that a run later than the last committed one received from `source`, if any."""
    if redis is None:
        return None
    try:
        with redis_errors():
            raw = redis.get(PAYLOAD_KEY)
        if raw is None:
            return None
        stashed = msgspec.msgpack.decode(cast("bytes", raw), type=StashedBody)
        if stashed.source != source or stashed.run_id <= committed_run_id:
            return None
        return gzip.decompress(stashed.packed)
    except (RedisUnavailableError, msgspec.MsgspecError, OSError, EOFError) as error:
        log.warning("The stash could not be read", reason=str(error))
        return None


def drop_body(redis: Redis | None) -> None:
    """Forget the body: it is committed, or it is no price list."""
    if redis is None:
        return
    try:
        with redis_errors():
            redis.delete(PAYLOAD_KEY)
    except RedisUnavailableError as error:
        log.warning("The stash could not be dropped", reason=str(error))
