"""The received body in Redis: kept until it is committed, and never a danger."""

import gzip
from datetime import timedelta

import msgspec
import pytest
from redis import Redis

from prices.redis_client import PAYLOAD_KEY
from prices.stash import StashedBody, drop_body, get_body, put_body

SOURCE = "https://openrouter.ai/api/v1"
BODY = b'{"data":[1,2,3]}' * 100
LIFETIME = timedelta(minutes=162)


def test_a_body_comes_back_until_it_is_committed(redis: Redis) -> None:
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    assert get_body(redis, SOURCE, 6) == BODY
    assert get_body(redis, SOURCE, 6) == BODY
    assert get_body(redis, SOURCE, 7) is None
    assert get_body(redis, SOURCE, 8) is None


def test_a_body_lives_as_long_as_it_would_be_fresh(redis: Redis) -> None:
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    assert 9_700_000 < redis.pttl(PAYLOAD_KEY) <= 9_720_000


def test_a_body_from_another_address_is_not_used(redis: Redis) -> None:
    put_body(redis, 7, "http://stand-in/api/v1", BODY, LIFETIME)
    assert get_body(redis, SOURCE, 0) is None


def test_a_dropped_body_is_gone(redis: Redis) -> None:
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    drop_body(redis)
    assert get_body(redis, SOURCE, 0) is None


def test_a_later_body_replaces_an_earlier_one(redis: Redis) -> None:
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    put_body(redis, 8, SOURCE, b"later", LIFETIME)
    assert get_body(redis, SOURCE, 7) == b"later"


@pytest.mark.parametrize("known", [True, False])
def test_without_redis_every_step_passes(known: bool, no_redis: Redis) -> None:
    redis = None if known else no_redis
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    assert get_body(redis, SOURCE, 0) is None
    drop_body(redis)


PACKED = gzip.compress(BODY)
GARBAGE = {
    "nothing": b"",
    "text": b"hello",
    "half a message": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED))[:-9],
    "another type": msgspec.msgpack.encode([1, 2]),
    "no gzip": msgspec.msgpack.encode(StashedBody(7, SOURCE, b"plain")),
    "gzip cut short": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:-9])),
    "gzip with a wrong sum": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:-8] + bytes(8))),
    "gzip broken within": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:10] + b"\xff" * 30)),
    "a source that is no text": msgspec.msgpack.encode({"run_id": 7, "source": 1, "packed": b""}),
}


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_the_stash_is_no_body_and_no_crash(what: str, redis: Redis) -> None:
    redis.set(PAYLOAD_KEY, GARBAGE[what])
    assert get_body(redis, SOURCE, 0) is None


def test_another_kind_of_key_is_no_body_and_no_crash(redis: Redis) -> None:
    redis.lpush(PAYLOAD_KEY, "x")
    assert get_body(redis, SOURCE, 0) is None
    drop_body(redis)
    put_body(redis, 7, SOURCE, BODY, LIFETIME)
    assert get_body(redis, SOURCE, 0) == BODY
