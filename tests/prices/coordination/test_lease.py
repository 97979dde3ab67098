"""A named lock in a real Redis: its replies may be lost, its keys may vanish."""

from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from redis import Redis

from prices.coordination.lease import Barred, Holder, Lease, Renewal, make_token, read_holder
from prices.errors import RedisUnavailableError
from prices.runtime.redis_client import make_redis
from tests.support.commands import commands_of
from tests.support.tiny_server import DroppedReply

KEY = "test:lock"
MINUTE = timedelta(seconds=60)


def lease_of(redis: Redis, name: str = "w1") -> Lease:
    return Lease(redis, KEY, make_token(name, "task"), lease=MINUTE)


@pytest.fixture
def lossy(redis_url: str) -> Iterator[tuple[Redis, DroppedReply]]:
    """A client whose next reply can be lost on the way."""
    port = urlsplit(redis_url).port or 0
    proxy = DroppedReply(port)
    with proxy.server, make_redis(redis_url.replace(str(port), str(proxy.server.port))) as client:
        client.ping()
        yield client, proxy


def test_a_free_lock_is_taken_for_the_length_of_the_lease(redis: Redis) -> None:
    mine = lease_of(redis)
    assert mine.take() is None
    assert redis.get(KEY) == mine.token.encode()
    assert 50_000 < redis.pttl(KEY) <= 60_000


def test_a_lock_of_another_stays_and_says_who_holds_it_and_for_how_long(redis: Redis) -> None:
    other = lease_of(redis, "w2@elsewhere")
    other.take()
    holder = lease_of(redis).take()
    assert holder is not None
    assert (holder.token, holder.name) == (other.token, "w2@elsewhere")
    assert timedelta(seconds=50) < holder.left <= MINUTE
    assert redis.get(KEY) == other.token.encode()


def test_taking_twice_is_still_ours(redis: Redis) -> None:
    mine = lease_of(redis)
    assert (mine.take(), mine.take()) == (None, None)


def test_two_leases_of_one_process_are_not_the_same(redis: Redis) -> None:
    assert lease_of(redis).take() is None
    assert lease_of(redis).take() is not None


def test_after_a_lost_reply_we_are_not_locked_out_by_ourselves(lossy: tuple[Redis, DroppedReply]) -> None:
    redis, proxy = lossy
    lease_of(redis).release()  # so that the scripts are known and the next reply is the lock's
    mine = lease_of(redis)
    mine.take()
    mine.release()
    proxy.drop_next = True
    assert mine.take() is None
    assert proxy.dropped == 1
    assert redis.get(KEY) == mine.token.encode()


def test_after_a_lost_reply_the_lock_of_another_is_seen(lossy: tuple[Redis, DroppedReply]) -> None:
    redis, proxy = lossy
    other = lease_of(redis, "w2")
    other.take()
    proxy.drop_next = True
    holder = lease_of(redis).take()
    assert proxy.dropped == 1
    assert holder is not None
    assert holder.name == "w2"


def test_without_redis_a_lock_can_be_neither_taken_nor_given_back(no_redis: Redis) -> None:
    mine = lease_of(no_redis)
    with pytest.raises(RedisUnavailableError):
        mine.take()
    with pytest.raises(RedisUnavailableError):
        mine.release()
    assert mine.renew() is Renewal.UNKNOWN


def test_the_lock_of_another_is_not_given_back(redis: Redis) -> None:
    mine, other = lease_of(redis), lease_of(redis, "w2")
    mine.take()
    redis.delete(KEY)  # as when our lease had run out
    other.take()
    assert not mine.release()
    assert redis.get(KEY) == other.token.encode()
    assert other.release()
    assert redis.get(KEY) is None
    assert not other.release()


def test_renewing_begins_the_lease_anew(redis: Redis) -> None:
    mine = lease_of(redis)
    mine.take()
    redis.pexpire(KEY, 500)
    assert mine.renew() is Renewal.RENEWED
    assert redis.pttl(KEY) > 50_000


def test_a_lock_that_was_evicted_is_renewed_into_being(redis: Redis) -> None:
    mine = lease_of(redis)
    mine.take()
    redis.flushall()
    assert mine.renew() is Renewal.RENEWED
    assert redis.get(KEY) == mine.token.encode()
    assert 50_000 < redis.pttl(KEY) <= 60_000


def test_a_lock_that_another_took_is_lost_and_left_to_it(redis: Redis) -> None:
    mine, other = lease_of(redis), lease_of(redis, "w2")
    mine.take()
    redis.delete(KEY)
    other.take()
    assert mine.renew() is Renewal.LOST
    assert redis.get(KEY) == other.token.encode()


def test_taking_and_giving_back_are_one_command_each(redis: Redis) -> None:
    mine = lease_of(redis)
    mine.take()
    mine.release()
    assert commands_of(redis, mine.take) == ["EVALSHA"]
    assert commands_of(redis, mine.release) == ["EVALSHA"]


def test_being_refused_is_one_command_whatever_is_in_the_way(redis: Redis) -> None:
    lease_of(redis, "w2").take()
    redis.set("test:bar", "x", px=5000)
    mine = lease_of(redis)
    assert isinstance(mine.take(), Holder)
    assert commands_of(redis, mine.take) == ["EVALSHA"]
    assert isinstance(mine.take(unless="test:bar"), Barred)
    assert commands_of(redis, lambda: mine.take(unless="test:bar")) == ["EVALSHA"]


def test_a_redis_that_has_forgotten_the_scripts_is_no_hindrance(redis: Redis) -> None:
    mine = lease_of(redis)
    redis.script_flush()
    assert mine.take() is None
    redis.script_flush()
    assert mine.renew() is Renewal.RENEWED
    redis.script_flush()
    assert mine.release()


def test_reading_the_holder_touches_nothing(redis: Redis) -> None:
    assert read_holder(redis, KEY) is None
    mine = lease_of(redis)
    mine.take()
    redis.pexpire(KEY, 5000)
    holder = read_holder(redis, KEY)
    assert holder is not None
    assert holder.token == mine.token
    assert redis.pttl(KEY) <= 5000


def test_something_else_under_the_key_is_held_by_nobody_we_know_and_no_crash(redis: Redis) -> None:
    redis.lpush(KEY, "x")
    with pytest.raises(RedisUnavailableError):
        lease_of(redis).take()
    redis.delete(KEY)
    redis.set(KEY, b"\xff\xfe", px=5000)
    assert lease_of(redis).take() is not None
    assert read_holder(redis, KEY) is not None


@pytest.mark.parametrize("token", ["a|b|5", "a|b|x|n", "a", "a|b|\u0665|n"])
def test_a_token_that_does_not_say_since_when_tells_nothing(token: str) -> None:
    assert Holder(token, timedelta(0)).since(10.0) is None
    assert Holder("a|b|5|n", timedelta(0)).since(10.0) == timedelta(seconds=5)
