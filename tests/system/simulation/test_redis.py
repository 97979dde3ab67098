"""What the simulated Redis answers to our scripts and commands, a real one answers too."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.exceptions import NoScriptError

from prices.coordination.heartbeats import say_alive
from prices.coordination.lease import Barred, Holder, Lease, read_holder
from prices.published.bodies import Publication, Stamp
from prices.published.packing import pack
from prices.published.redis_copy import confirm, publish
from prices.refresh import stash
from prices.runtime.redis_client import LOCK_KEY, PAYLOAD_KEY, make_redis
from tests.system.simulation.client import SimRedis
from tests.system.simulation.database import KEYS
from tests.system.simulation.lua import sha_of
from tests.system.simulation.process import Process
from tests.system.simulation.redis import SimRedisServer
from tests.system.simulation.world import World

MINUTE = timedelta(minutes=1)
NOON = datetime(1970, 1, 10, 12, tzinfo=UTC)  # before the time of any world
ECHO = "return {KEYS[1], ARGV[1], redis.call('GET', KEYS[1])}"


def live(redis: Any) -> list[Any]:
    """Use whatever the house asks of Redis; give all answers that do not tell the time."""
    mine, other = (Lease(redis, LOCK_KEY, name, lease=MINUTE) for name in ("mine", "other"))
    bodies = Publication(3, pack(b"[]"), pack(b"{}"), {})
    earlier, later = Stamp("a", NOON), Stamp("b", NOON + MINUTE)
    told = [
        mine.take(),
        other.take(),
        other.release(),
        other.renew(),
        mine.renew(),
        read_holder(redis, LOCK_KEY),
    ]
    told += [confirm(redis, KEYS, later, 3, MINUTE), publish(redis, KEYS, later, bodies, MINUTE)]
    told += [
        publish(redis, KEYS, earlier, bodies, MINUTE),
        confirm(redis, KEYS, later, 3, MINUTE),
        redis.get(KEYS.fresh),
    ]
    told += [mine.release(), mine.release(), mine.take(unless=KEYS.fresh), other.renew(), mine.renew()]
    told += [
        say_alive(redis, KEYS, "beat", "one"),
        redis.set(KEYS.fresh, b"1", px=MINUTE),
        redis.get(KEYS.fresh),
    ]
    for run, whose in ((7, "ours"), (6, "ours"), (8, "ours"), (3, "another's"), (4, "ours")):
        put = (run, b"body %d" % run, 60_000, whose)
        told += [stash._PUT_IN_REDIS(redis, (PAYLOAD_KEY,), put), stashed(redis)]
    for forgotten in ((3, "ours"), (9, "another's"), (4, "ours"), (4, "ours")):
        told += [stash._FORGET_IN_REDIS(redis, (PAYLOAD_KEY,), forgotten), stashed(redis)]
    try:
        redis.evalsha(sha_of(ECHO), 1, PAYLOAD_KEY, 7)
    except NoScriptError:
        told += [redis.script_load(ECHO), redis.evalsha(sha_of(ECHO), 1, LOCK_KEY, 7)]
    return [_timeless(answer) for answer in told]


def stashed(redis: Any) -> Any:
    """What the stash holds, and whether it tells when that came."""
    with redis.pipeline() as pipeline:
        pipeline.time()
        pipeline.hmget(PAYLOAD_KEY, ["run", "stashed", "received_us"])
        pipeline.pttl(PAYLOAD_KEY)
        (seconds, _), (run, body, received_us), left = pipeline.execute()
    return run, body, received_us and abs(seconds - int(received_us) / 1_000_000) < 5, left > 0


def _timeless(answer: Any) -> Any:
    if isinstance(answer, Holder):
        return answer.token
    return answer.value if isinstance(answer, Barred) else answer


def in_a_world() -> list[Any]:
    world, told = World(1), []
    client = SimRedis(SimRedisServer(world, lambda *_change: None))
    world.spawn(Process("one"), lambda: told.extend(live(client)))
    world.run(world.now + 10)
    return told


def test_the_simulated_redis_answers_as_a_real_one(redis_url: str) -> None:
    with closing(make_redis(redis_url)) as real:
        real.script_flush()
        answers = live(real)

    assert in_a_world() == answers
    assert len(answers) == 39
