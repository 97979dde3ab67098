"""Signs of life in Redis."""

import pytest
from redis import Redis

from prices.coordination import heartbeats
from prices.coordination.heartbeats import (
    ALIVE_SECONDS,
    BEAT_SECONDS,
    FORGET_SECONDS,
    Heart,
    forget,
    say_alive,
    who_lives,
)
from prices.errors import RedisUnavailableError
from prices.runtime.deployment import Deployment
from prices.runtime.redis_client import Keys
from tests.support.made_clock import MadeClock

KEYS = Keys(deployment="ours")


def deployment(redis: Redis) -> Deployment:
    return Deployment(redis, KEYS.prefix, "address", lambda: KEYS.deployment)


def spoke(redis: Redis, name: str, seconds_ago: float) -> None:
    now, _micro = redis.time()
    redis.zadd(KEYS.alive, {f"ours|worker|{name}": now - seconds_ago})


def test_who_spoke_lately_lives_and_each_kind_has_its_own_list(redis: Redis) -> None:
    assert who_lives(redis, KEYS).workers == {}
    say_alive(redis, KEYS, "worker", "w1@host")
    say_alive(redis, KEYS, "beat", "celerybeat@host")
    assert list(who_lives(redis, KEYS).workers) == ["w1@host"]
    assert 0 <= who_lives(redis, KEYS).workers["w1@host"] < 5
    assert list(who_lives(redis, KEYS).beats) == ["celerybeat@host"]


def test_who_was_silent_for_too_long_does_not_live_and_is_forgotten_in_the_end(redis: Redis) -> None:
    spoke(redis, "quiet", ALIVE_SECONDS - 5)
    spoke(redis, "silent", ALIVE_SECONDS + 5)
    spoke(redis, "lost", FORGET_SECONDS + 5)
    say_alive(redis, KEYS, "worker", "loud")
    assert set(who_lives(redis, KEYS).workers) == {"quiet", "loud"}
    assert redis.zscore(KEYS.alive, "ours|worker|lost") is None
    assert redis.zscore(KEYS.alive, "ours|worker|silent") is not None


def test_a_process_that_ended_in_order_does_not_live(redis: Redis) -> None:
    say_alive(redis, KEYS, "worker", "w1")
    say_alive(redis, KEYS, "worker", "w2")
    forget(redis, KEYS, "worker", "w1")
    assert list(who_lives(redis, KEYS).workers) == ["w2"]


def test_a_list_that_nobody_writes_goes_away_by_itself(redis: Redis) -> None:
    say_alive(redis, KEYS, "worker", "w1")
    assert 0 < redis.ttl(KEYS.alive) <= FORGET_SECONDS


def test_a_heart_speaks_at_most_every_ten_seconds(redis: Redis) -> None:
    clock = MadeClock()
    heart = Heart(redis, deployment(redis), "worker", "w1", clock)
    heart.beat()
    redis.flushall()
    clock.stand_still(BEAT_SECONDS - 0.1)
    heart.beat()
    assert who_lives(redis, KEYS).workers == {}
    clock.stand_still(0.1)
    heart.beat()
    assert list(who_lives(redis, KEYS).workers) == ["w1"]
    heart.stop()
    assert who_lives(redis, KEYS).workers == {}


def test_without_redis_a_heart_fails_and_does_not_try_again_at_once(redis: Redis, no_redis: Redis) -> None:
    clock = MadeClock()
    heart = Heart(no_redis, deployment(no_redis), "worker", "w1", clock)
    for _beat in range(3):
        with pytest.raises(RedisUnavailableError):
            heart.beat()
    heart._redis = redis
    clock.stand_still(BEAT_SECONDS - 0.1)
    with pytest.raises(RedisUnavailableError):  # it has not spoken again, so nothing has come right
        heart.beat()
    assert who_lives(redis, KEYS).workers == {}
    clock.stand_still(0.1)
    heart.beat()
    heart.beat()
    assert list(who_lives(redis, KEYS).workers) == ["w1"]
    assert heartbeats.BEAT_SECONDS < heartbeats.ALIVE_SECONDS / 3
