"""Lua scripts in a real Redis, which may forget them at any time."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from redis import Redis

from local.redis_server import RedisServer
from prices.errors import RedisUnavailableError
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import make_redis
from tests.support.commands import commands_of
from tests.support.ports import free_port
from tests.support.tiny_server import DroppedReply

COUNT = LuaScript("return redis.call('INCRBY', KEYS[1], ARGV[1])")


def test_a_script_that_redis_knows_is_one_command(redis: Redis) -> None:
    assert COUNT(redis, ("test:count",), (2,)) == 2
    assert commands_of(redis, lambda: COUNT(redis, ("test:count",), (3,))) == ["EVALSHA"]
    assert redis.get("test:count") == b"5"


def test_a_script_that_redis_has_forgotten_is_loaded_and_runs_once(redis: Redis) -> None:
    redis.script_flush()
    sent = commands_of(redis, lambda: COUNT(redis, ("test:count",), (1,)))
    assert sent == ["EVALSHA", "SCRIPT", "EVALSHA"]
    assert redis.get("test:count") == b"1"


@pytest.mark.process
def test_a_redis_that_was_restarted_empty_runs_scripts_at_once(tmp_path: Path) -> None:
    with RedisServer(tmp_path, port=free_port(), persistent=False) as server, make_redis(server.url) as redis:
        COUNT(redis, ("test:count",), (1,))
        server.kill()
        server.start()
        assert COUNT(redis, ("test:count",), (1,)) == 1


def test_after_a_lost_reply_a_script_is_not_sent_again(redis: Redis, redis_url: str) -> None:
    COUNT(redis, ("test:count",), (1,))
    port = urlsplit(redis_url).port or 0
    proxy = DroppedReply(port)
    with proxy.server, make_redis(redis_url.replace(str(port), str(proxy.server.port))) as lossy:
        lossy.ping()
        proxy.drop_next = True
        with pytest.raises(RedisUnavailableError):
            COUNT(lossy, ("test:count",), (1,))
    assert proxy.dropped == 1
    assert redis.get("test:count") == b"2"


def test_a_script_that_fails_is_an_error_of_redis_and_is_not_sent_again(redis: Redis) -> None:
    redis.set("test:count", "x")

    def fail() -> None:
        with pytest.raises(RedisUnavailableError):
            COUNT(redis, ("test:count",), (1,))

    fail()
    assert commands_of(redis, fail) == ["EVALSHA"]
