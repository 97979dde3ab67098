"""Claim: taking and giving back the lock costs what Redis itself costs, and so does being refused."""

import tempfile
from datetime import timedelta
from pathlib import Path

from redis import Redis

from bench.rounds import Row, compare
from local.redis_server import RedisServer
from prices.lease import Lease, make_token
from prices.redis_client import make_redis

LEASE = timedelta(seconds=60)
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def measure() -> list[Row]:
    """Measure on a real Redis of our own."""
    with (
        tempfile.TemporaryDirectory(prefix="pricebeat-bench-") as folder,
        RedisServer(Path(folder), persistent=False) as server,
    ):
        redis = make_redis(server.url)
        try:
            return [*_taken_and_released(redis), *_refused(redis)]
        finally:
            redis.close()


def _taken_and_released(redis: Redis) -> list[Row]:
    release = redis.register_script(RELEASE)
    lease = Lease(redis, "bench:ours", make_token("bench"), lease=LEASE)
    peer = redis.lock("bench:peer", timeout=LEASE.total_seconds())

    def raw() -> None:
        redis.set("bench:raw", "token", nx=True, ex=60)
        release(keys=["bench:raw"], args=["token"])

    def ours() -> None:
        lease.take()
        lease.release()

    def theirs() -> None:
        peer.acquire(blocking=False)
        peer.release()

    acts = {"SET NX EX and EVALSHA, raw": raw, "prices.lease": ours, "redis-py Lock": theirs}
    return compare("take and release", acts)


def _refused(redis: Redis) -> list[Row]:
    redis.set("bench:held", "another|task|nonce", ex=600)
    redis.set("bench:fresh", "7", ex=600)
    lease = Lease(redis, "bench:held", make_token("bench"), lease=LEASE)
    peer = redis.lock("bench:held", timeout=LEASE.total_seconds())
    acts = {
        "SET NX EX, raw": lambda: redis.set("bench:held", "token", nx=True, ex=60),
        "prices.lease, held": lease.take,
        "prices.lease, fresh": lambda: lease.take(unless="bench:fresh"),
        "redis-py Lock, held": lambda: peer.acquire(blocking=False),
    }
    return compare("be refused", acts)
