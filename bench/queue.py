"""How fast a refresh that need not be is refused: by the worker (ours), or by who asks for it (the peers').

*Drain*: one worker, by the Procfile's line with two processes and its log in a file, takes a full queue. The
tasks do nothing, find fresh prices, or find that another refreshes; the configuration is the product's. The
commands are all that worker and pool send for a task; events go in batches, hence the tenths.

*Submit a duplicate*: one process asks again and again for a task whose first request is not done yet. Ours is
published, and refused when a worker takes it: a drained row comes on top. celery-singleton and celery-once
refuse it before it is published. A lock of theirs whose task was lost refuses every request until it ends by
itself: by default never (singleton), or after an hour (once).
"""

import os
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import msgspec
from celery import Task
from redis import Redis

from bench.commands import commands_meanwhile, commands_per_act
from bench.peers import peer
from bench.processes import Site, open_site, wait_until
from bench.rounds import Act, Row, alternate, per_second
from bench.tasks import nothing
from prices.runtime.redis_client import LOCK_KEY, make_redis
from prices.services import Services
from tasks.celery import app
from tasks.refresh import refresh_prices

TASKS = 100
LONG = 3600
NOBODYS = "nobody takes these"


def measure() -> list[Row]:
    """Measure with a worker of the product over a Redis of our own."""
    with open_site() as site, patch.dict(os.environ, site.env), make_redis(site.redis_url) as redis:
        site.migrate()
        return [*_drained(site, redis), *_submitted(site, redis)]


@dataclass(frozen=True)
class Drain:
    """Has the worker take a full queue: `waiting` is a copy of it, `last` the number of its last task.

    `fresh` is the key of the mark that the prices are fresh.
    """

    redis: Redis
    fresh: str
    waiting: str
    last: str
    mark: tuple[str, str] | None = None
    reason: str | None = None

    def __call__(self) -> float:
        """Give the tasks per second; raises RuntimeError when they did not do what they were to do."""
        self.prepare()
        rate = TASKS / self.run()
        told = self._result()["result"]
        if (told and told["reason"]) != self.reason:
            raise RuntimeError(f"{self.waiting} was to be refused as {self.reason}, and told {told}")
        return rate

    def prepare(self) -> None:
        """Leave in Redis what the tasks are to find, and nothing of earlier ones."""
        self.redis.delete(self.fresh, LOCK_KEY, *self.redis.keys("celery-task-meta-*"))
        if self.mark:
            self.redis.set(*self.mark, ex=LONG)

    def run(self) -> float:
        """Give the seconds until all tasks are done and acknowledged."""
        self.redis.copy(self.waiting, "celery")
        return wait_until(self._is_drained)

    def _is_drained(self) -> bool:
        """Whether none waits, none is held unacknowledged, and none is on its way between the two."""
        waiting = self.redis.llen("celery") + self.redis.hlen("unacked")
        return not waiting and self._result().get("status") == "SUCCESS"

    def _result(self) -> dict[str, Any]:
        told: dict[str, Any] = msgspec.json.decode(self.redis.getrange(self._last_key, 0, -1) or b"{}")
        return told

    @property
    def _last_key(self) -> str:
        return f"celery-task-meta-{self.last}"


def _drained(site: Site, redis: Redis) -> list[Row]:
    nothings, refreshes = _fill("nothings", nothing), _fill("refreshes", refresh_prices)
    app.backend.result_consumer.stop()  # nobody here waits for the results
    fresh = Services.make().keys.fresh
    drains = {
        "a task that does nothing": Drain(redis, fresh, "nothings", nothings),
        "refresh_prices, prices fresh": Drain(redis, fresh, "refreshes", refreshes, (fresh, "7"), "fresh"),
        "refresh_prices, held by another": Drain(
            redis, fresh, "refreshes", refreshes, (LOCK_KEY, "w@h|id|1700000000|nonce"), "held"
        ),
    }
    worker = site.start("worker", more=" --include bench.tasks")
    worker.wait_for(" ready.")
    try:
        commands = {what: _commands_per_task(drain) for what, drain in drains.items()}
        return alternate("drain", "per second", drains, rounds=40, commands=commands)
    finally:
        worker.kill()


def _fill(queue: str, task: Task) -> str:
    return [task.apply_async(queue=queue).id for _ in range(TASKS)][-1]


def _commands_per_task(drain: Drain) -> float:
    drain()  # the pool's processes have made their clients
    drain.prepare()
    ours = {"COPY", "LLEN", "HLEN", "GETRANGE"}
    return commands_meanwhile(drain.redis, drain.run, ignoring=ours) / TASKS


def _submitted(site: Site, redis: Redis) -> list[Row]:
    acts: dict[str, Act] = {"refresh_prices, published": lambda: refresh_prices.apply_async(queue=NOBODYS)}
    for what, task in _peers(site.redis_url).items():
        acts[what] = _refused(redis, task)
    commands = {what: commands_per_act(redis, act) for what, act in acts.items()}
    measures = {what: per_second(act, times=5) for what, act in acts.items()}
    return alternate("submit a duplicate", "per second", measures, rounds=200, commands=commands)


def _peers(url: str) -> dict[str, Task]:
    tasks = {}
    if singleton := peer("celery_singleton"):
        tasks["celery-singleton, refused"] = app.task(base=singleton.Singleton, name="bench.singleton")(
            _nothing
        )
    if once := peer("celery_once"):
        settings = {"url": url, "default_timeout": LONG}
        app.conf.ONCE = {"backend": "celery_once.backends.Redis", "settings": settings}
        options = {"once": {"graceful": True}}  # no exception, as with the others
        tasks["celery-once, refused"] = app.task(base=once.QueueOnce, name="bench.once", **options)(_nothing)
    return tasks


def _nothing() -> None:
    """Nobody takes it."""


def _refused(redis: Redis, task: Task) -> Act:
    """Give the act of asking again for a task that waits; raises RuntimeError when that publishes it."""

    def submit() -> None:
        task.apply_async(queue=NOBODYS)

    submit()
    published = redis.llen(NOBODYS)
    submit()
    if redis.llen(NOBODYS) != published:
        raise RuntimeError(f"{task.name} was not refused")
    return submit
