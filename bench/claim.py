"""Taking and giving back the lock, and being refused it, each from one Python process.

Every row does the same through the same redis-py client. The commands are those that the client sends.
"""

import tempfile
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

from redis import Redis

from bench.commands import commands_per_act
from bench.peers import peer
from bench.rounds import Act, Row, alternate, microseconds
from local.redis_server import RedisServer
from prices.coordination.lease import Lease, make_token
from prices.runtime.redis_client import make_redis

LEASE = timedelta(seconds=60)
SECONDS = int(LEASE.total_seconds())
LONG = 3600
RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"


def measure() -> list[Row]:
    """Measure on a real Redis of our own."""
    with (
        tempfile.TemporaryDirectory(prefix="pricebeat-bench-") as folder,
        RedisServer(Path(folder), persistent=False) as server,
        make_redis(server.url) as redis,
    ):
        return [
            *_compare(redis, "take and release", _taken_and_released(redis)),
            *_compare(redis, "be refused", _refused(redis)),
        ]


def _compare(redis: Redis, claim: str, acts: Mapping[str, Act]) -> list[Row]:
    commands = {what: commands_per_act(redis, act) for what, act in acts.items()}
    measures = {what: microseconds(act, times=5) for what, act in acts.items()}
    return alternate(claim, "µs", measures, rounds=300, commands=commands)


def _taken_and_released(redis: Redis) -> dict[str, Act]:
    release = redis.script_load(RELEASE)
    lease = Lease(redis, "bench:ours", make_token("bench"), lease=LEASE)

    def raw() -> None:
        redis.set("bench:raw", "token", nx=True, ex=SECONDS)
        redis.evalsha(release, 1, "bench:raw", "token")

    def ours() -> None:
        assert lease.take() is None
        assert lease.release()

    return {"raw SET NX EX and EVALSHA": raw, "prices.coordination.lease": ours} | {
        name: _both(take, release) for name, (take, release) in _peers(redis, "bench:free", SECONDS).items()
    }


def _both(take: Act, release: Act) -> Act:
    def both() -> None:
        assert take()
        release()

    return both


def _refused(redis: Redis) -> dict[str, Act]:
    redis.set("bench:held", "another|task|1700000000|nonce", ex=LONG)
    redis.set("bench:fresh", "7", ex=LONG)
    lease = Lease(redis, "bench:held", make_token("bench"), lease=LEASE)
    for take, _release in _peers(redis, "bench:held-by-a-peer", LONG).values():
        assert take()
    return {
        "raw SET NX EX": lambda: redis.set("bench:held", "token", nx=True, ex=SECONDS),
        "prices.coordination.lease, held by another": lease.take,
        "prices.coordination.lease, prices fresh": lambda: lease.take(unless="bench:fresh"),
        **{f"{name}, held": take for name, (take, _) in _peers(redis, "bench:held-by-a-peer", LONG).items()},
    }


def _peers(redis: Redis, key: str, seconds: int) -> dict[str, tuple[Act, Act]]:
    """Make each peer's lock on a key of its own: how it is taken without waiting, and given back."""
    lock = redis.lock(f"{key}:redis-py", timeout=seconds)
    acts: dict[str, tuple[Act, Act]] = {
        "redis-py Lock": (lambda: lock.acquire(blocking=False), lock.release),
    }
    if redis_lock := peer("redis_lock"):
        listed = redis_lock.Lock(redis, key, expire=seconds)
        acts["python-redis-lock"] = (lambda: listed.acquire(blocking=False), listed.release)
    if pottery := peer("pottery"):
        redlock = pottery.Redlock(key=key, masters={redis}, auto_release_time=seconds)
        acts["pottery Redlock, one master"] = (lambda: redlock.acquire(blocking=False), redlock.release)
    return acts
