"""A simulated cluster: workers that run the real refresh, beats that run the real timetable, a queue."""

import itertools
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from typing import Any

import msgspec
from greenlet import getcurrent

from prices.beat.timetable import Timetable
from prices.errors import UpstreamError
from prices.refresh.outcome import RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.deployment import Deployment
from prices.runtime.redis_client import LOCK_KEY
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.queries import deployment_of
from tests.system.simulation.client import SimRedis
from tests.system.simulation.database import KEYS, SimDatabase
from tests.system.simulation.process import Process, VirtualClock
from tests.system.simulation.queue import Message, Queue
from tests.system.simulation.redis import SimRedisServer
from tests.system.simulation.wall_clock import WallClock
from tests.system.simulation.watch import Watch
from tests.system.simulation.world import World

LOOK_SECONDS = 20.0
REDELIVERY_SECONDS = 90.0
"""How long a message of a worker that died stays unseen: the broker's visibility timeout."""
SLOW_SECONDS = (5.0, 25.0, 70.0)
"""How long upstream may let a part of its body wait: the lease may be shorter than a fetch lasts."""
RETRY_AFTER = (0.0, 0.0, 30.0, 150.0)
"""How long upstream may ask those to wait whom it refuses."""

_somebody = Process("somebody")


class Cluster:
    """Everything together. With `apart` the broker is another server than the Redis of the locks."""

    def __init__(self, world: World, settings: Settings, *, workers: int, beats: int, apart: bool) -> None:
        self.world, self.settings, self.apart = world, settings, apart
        self.clock = WallClock(world)
        self.watch = Watch(world, self.clock, settings, lambda: self.server.peek(LOCK_KEY.encode()))
        self.server = SimRedisServer(world, self.watch.redis_changed)
        self.database = SimDatabase(world, self.clock, self.watch.committing, self.watch.committed)
        self.queue = Queue(world)
        self.tries_to_send = 0
        self.upstream_down_until = self.broker_down_until = 0.0
        self.retry_after = RETRY_AFTER
        self.fetches: list[float] = []
        self.fetching: set[Process] = set()
        self.most_at_once = 0
        self.expect_another_try: Callable[[Cluster, Process], None] = lambda _cluster, _process: None
        world.watch = self.watch.step
        self._names = itertools.count(1)
        for life, kind, count in ((self._worker, "worker", workers), (self._beat, "beat", beats)):
            for _ in range(count):
                self._start(life, kind, world.random.random())

    def _start(self, life: Callable[[Process], None], kind: str, delay: float) -> None:
        process = Process(f"{kind}-{next(self._names)}")
        restart = self.world.random.choice((2.0, 30.0))
        process.on_death = lambda: self._start(life, kind, restart)
        self.world.spawn(process, lambda: life(process), delay)

    def _services(self, process: Process, forced: Callable[[], bool]) -> Services:
        engine: Any = self.database.engine
        redis: Any = SimRedis(self.server)
        return Services(
            self.settings,
            engine,
            redis,
            Deployment(redis, KEYS.prefix, "address", partial(deployment_of, engine)),
            VirtualClock(self.world),
            lambda _url, _key, progress: self._fetch(process, forced(), progress),
            self.world.random.random,
        )

    def _worker(self, process: Process) -> None:
        message = Message(0)
        services = self._services(process, lambda: message.force)
        while True:
            taken = None if self.broker_down_until > self.world.now else self.queue.take()
            if taken is None:
                self.queue.idle.append(getcurrent())
                self.world.sleep(20 + 20 * self.world.random.random())
                if getcurrent() in self.queue.idle:
                    self.queue.idle.remove(getcurrent())
                continue
            message = taken
            restart = process.on_death
            process.on_death = partial(self._redeliver, message, self.queue.times_lost, restart)
            self._work(services, process, message)
            process.on_death = restart

    def _redeliver(self, message: Message, times_lost: int, restart: Callable[[], None]) -> None:
        if self.queue.times_lost == times_lost:
            self.queue.put(message, self.world.random.choice((1.0, REDELIVERY_SECONDS)))
        restart()

    def _work(self, services: Services, process: Process, message: Message) -> None:
        self.watch.work_begins(process)
        try:
            done = refresh_prices(
                services,
                worker=process.name,
                task_id=str(message.number),
                force=message.force,
                trust_marker=True,
            )
            self.world.note(f"{process.name} message {message.number}: {done.outcome} {done.reason or ''}")
        except RefreshFailedError as failure:
            self.world.note(f"{process.name} message {message.number}: failed, {failure}")
        self.watch.work_ends(process)

    def _beat(self, process: Process) -> None:
        timetable = Timetable(
            self._services(process, lambda: False),
            process.name,
            self._send,
            lambda at: at + self.settings.refresh_interval,
            LOOK_SECONDS,
        )
        while True:
            self.world.sleep(timetable.look())

    def _send(self) -> None:
        """Publish as a beat does."""
        self.tries_to_send += 1
        self.world.befall("publish")
        away = self.broker_down_until > self.world.now or (self.server.is_down and not self.apart)
        if away or self.world.fails(self.world.odds.refused):
            self.expect_another_try(self, self.world.process())
            raise ConnectionError("the broker refused")
        self.queue.send()
        self.world.note(f"{self.world.process().name} sent message {self.queue.sent}")
        if self.world.random.random() < self.world.odds.lost:
            self.world.note("the broker loses all messages")
            self.queue.lose()
        if self.world.fails(self.world.odds.reply_lost):
            raise TimeoutError("the broker's reply was lost")

    def _fetch(self, process: Process, forced: bool, progress: Callable[[int], None]) -> bytes:
        self.fetches.append(self.world.now)
        self.fetching = {one for one in self.fetching if one.alive} | {process}
        self.most_at_once = max(self.most_at_once, len(self.fetching))
        try:
            return self._upstream(process, forced, progress)
        finally:
            self.fetching.discard(process)

    def _upstream(self, process: Process, forced: bool, progress: Callable[[int], None]) -> bytes:
        self.world.befall("upstream, before")
        if self.upstream_down_until > self.world.now or self.world.fails(self.world.odds.refused):
            wait = self.world.random.choice(self.retry_after)
            self.watch.asked_to_wait(process, wait)
            raise UpstreamError("upstream answered 503", wait)
        for part in range(3):
            self.world.befall("upstream, between")
            if self.world.random.random() < self.world.odds.slow:
                self._tempt()
                self.world.sleep(self.world.random.choice(SLOW_SECONDS))
            progress(1024 * part)
        body = self._body()
        query = "SELECT degraded FROM refresh_runs ORDER BY id DESC LIMIT 1"
        degraded = bool(self.database.raw.execute(query).fetchone()[0])
        self.watch.received(process, body, forced=forced, degraded=degraded)
        self.world.note(f"{process.name} received the list whole")
        self.world.endanger(process)
        self._tempt()
        return body

    def _tempt(self) -> None:
        """Send a message that comes when a holder who does not move counts as dead; perhaps free the lock."""
        draw, lease = self.world.random.random, self.settings.lock_lease.total_seconds()
        if draw() < 0.3:
            self.world.spawn(_somebody, self.queue.send, lease * (0.9 + draw()))
        if draw() < 0.1:
            self.world.spawn(_somebody, lambda: self.server.evict(LOCK_KEY.encode()), lease * draw())

    def _body(self) -> bytes:
        moving = f"0.00000{int(self.world.now // 600) % 900 + 100}"
        models = [
            {"id": "a/one", "name": "One", "pricing": {"prompt": moving, "completion": "0.1"}},
            {"id": "a/two", "name": "Two", "pricing": {"prompt": "0", "completion": "0"}},
        ]
        return msgspec.json.encode({"data": models})


@cache
def sim_settings(
    refresh: timedelta, lease: timedelta, ttl: timedelta, retry_max: timedelta = timedelta(minutes=10)
) -> Settings:
    """Make settings for a world; nothing of them is a real address."""
    return Settings.from_env(
        {
            "PRICE_REFRESH_HOURS": str(refresh.total_seconds() / 3600),
            "PRICE_RETRY_MAX": str(retry_max.total_seconds()),
            "PRICE_LOCK_LEASE": str(lease.total_seconds()),
            "PRICE_LOCK_TTL": str(ttl.total_seconds()),
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "DATABASE_URL": "sqlite://",
            "OPENROUTER_BASE_URL": "http://127.0.0.1:1/api/v1",
        }
    )
