"""A simulated cluster: workers that run the real refresh, beats that run the real timetable, a queue."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import msgspec
from greenlet import getcurrent, greenlet

from prices.errors import UpstreamError
from prices.redis_client import BEAT_LEADER_KEY, LOCK_KEY, PAYLOAD_KEY, SNAPSHOT_KEY
from prices.refresh import RefreshFailedError, refresh_prices
from prices.services import Services
from prices.settings import Settings
from tasks.retries import MAX_RETRIES, countdown
from tasks.timetable import Timetable
from tests.simulation.database import as_seconds, make_sim_engine
from tests.simulation.redis import SimRedis, SimRedisServer
from tests.simulation.world import Process, VirtualClock, World

LOOK_SECONDS = 20.0
REDELIVERY_SECONDS = 90.0
"""How long a message of a worker that died stays unseen: the broker's visibility timeout."""


class BrokenInvariantError(AssertionError):
    """Something happened that never may."""


@dataclass
class Receipt:
    """A body that was received whole, and whether it is in the stash, where all can use it.

    `excused` is one that no care could keep: a fault hit its receiver before it was stashed, or the
    stash itself was lost.
    """

    at: float
    process: Process
    strand: greenlet
    faults_before: int
    forced: bool
    degraded: bool
    kept: bool = False
    in_database: bool = False
    missed: bool = False
    excused: bool = False

    def see(self, where: str) -> None:
        """Judge by the receiver's next step: it must be the stash, unless a fault came between."""
        if self.kept or self.missed or self.excused:
            return
        if self.process.faults > self.faults_before:
            self.excused = True
        elif not ("price_payload" in where or (self.degraded and "before begin" in where)):
            self.missed = True

    def keep(self, *, in_database: bool) -> None:
        """Note that it is in the stash: in the database, or for the moment in Redis only."""
        self.kept = True
        self.in_database = self.in_database or in_database
        self.excused = self.excused or self.process.faults > self.faults_before


@dataclass(frozen=True)
class Message:
    """A refresh in the queue."""

    number: int
    force: bool = False
    retries: int = 0


class Queue:
    """A broker that delivers at least once."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[tuple[float, int, Message]] = []
        self._numbers = itertools.count(1)
        self.sent = 0
        self.idle: list[greenlet] = []

    def put(self, message: Message, delay: float = 0.0) -> None:
        """Take a message in."""
        heapq.heappush(self._waiting, (self._world.now + delay, next(self._numbers), message))
        if self.idle:
            idle = self.idle.pop(self._world.random.randrange(len(self.idle)))
            self._world.wake(idle, delay + 0.01)

    def send(self, *, force: bool = False) -> None:
        """Send a new message."""
        self.sent += 1
        self.put(Message(self.sent, force))

    def take(self) -> Message | None:
        """Give out the next message that is due."""
        if self._waiting and self._waiting[0][0] <= self._world.now:
            return heapq.heappop(self._waiting)[2]
        return None

    def __len__(self) -> int:
        return len(self._waiting)


class Cluster:
    """Everything together, and the watch over what always holds."""

    def __init__(self, world: World, workers: int, beats: int, settings: Settings) -> None:
        self.world = world
        self.settings = settings
        self.interval = settings.refresh_interval.total_seconds()
        self.window = self.interval * 0.9
        self.server = SimRedisServer(world)
        self.server.watch = self._watch_redis
        world.watch = self._watch_step
        world.after_commit = self._watch_commit
        self.engine, self.database = make_sim_engine(world)
        self.queue = Queue(world)
        self.receipts: list[Receipt] = []
        self.observer = Process("observer")
        self.tries_to_send = 0
        self.faults_at_work: dict[str, int] = {}
        self.runs_started = 0
        self.refreshed_at: float | None = None
        self.refreshed_run = 0
        self.revision = 0
        self._names = itertools.count(1)
        for _ in range(workers):
            self._start(self._worker, "worker", world.random.random())
        for _ in range(beats):
            self._start(self._beat, "beat", world.random.random())

    def _start(self, life: Callable[[Process], None], kind: str, delay: float) -> None:
        process = Process(f"{kind}-{next(self._names)}")
        restart = self.world.random.choice((2.0, 30.0))
        process.on_death = lambda: self._start(life, kind, restart)
        self.world.spawn(process, lambda: life(process), delay)

    def _services(self, process: Process, forced: Callable[[], bool]) -> Services:
        redis: Any = SimRedis(self.server)
        return Services(
            self.settings,
            self.engine,
            redis,
            VirtualClock(self.world),
            lambda _url, _key, progress: self._upstream(process, forced(), progress),
        )

    def _worker(self, process: Process) -> None:
        message = Message(0)
        services = self._services(process, lambda: message.force)
        while True:
            taken = self.queue.take()
            if taken is None:
                self.queue.idle.append(getcurrent())
                self.world.sleep(20 + 20 * self.world.random.random())
                if getcurrent() in self.queue.idle:
                    self.queue.idle.remove(getcurrent())
                continue
            message = taken
            restart = process.on_death

            def died(message: Message = message, restart: Callable[[], None] = restart) -> None:
                self.queue.put(message, self.world.random.choice((1.0, REDELIVERY_SECONDS)))
                restart()

            process.on_death = died
            self._work(services, process, message)
            process.on_death = restart

    def _work(self, services: Services, process: Process, message: Message) -> None:
        self.faults_at_work[process.name] = process.faults
        try:
            done = refresh_prices(
                services,
                worker=process.name,
                task_id=str(message.number),
                attempt=message.retries,
                force=message.force,
                trust_marker=True,
            )
            self.world.note(f"{process.name} message {message.number}: {done.outcome} {done.reason or ''}")
        except RefreshFailedError as failure:
            self.world.note(f"{process.name} message {message.number}: failed, {failure}")
            if not message.force and message.retries < MAX_RETRIES:
                wait = countdown(message.retries, failure.retry_after, self.world.random.random)
                self.queue.put(replace(message, retries=message.retries + 1), wait)

    def _beat(self, process: Process) -> None:
        timetable = Timetable(
            self._services(process, lambda: False),
            process.name,
            self._send,
            lambda at: at + timedelta(seconds=self.interval),
            LOOK_SECONDS,
        )
        while True:
            self.world.sleep(timetable.look())

    def _send(self) -> None:
        """Publish as a beat does: the broker is Redis, so it is away when Redis is."""
        self.tries_to_send += 1
        self.world.befall("publish")
        if self.server.down_until > self.world.now or self.world.fails(self.world.odds.refused):
            self._expect_another_try(self.world.process())
            raise ConnectionError("the broker refused")
        self.queue.send()
        self.world.note(f"{self.world.process().name} sent message {self.queue.sent}")
        if self.world.fails(self.world.odds.reply_lost):
            raise TimeoutError("the broker's reply was lost")

    def _upstream(self, process: Process, forced: bool, progress: Callable[[int], None]) -> bytes:
        self.world.befall("upstream, before")
        if self.world.fails(self.world.odds.refused):
            raise UpstreamError("upstream answered 503")
        for part in range(3):
            self.world.befall("upstream, between")
            progress(1024 * part)
        self._receive(process, forced)
        return self._body()

    def _body(self) -> bytes:
        moving = f"0.00000{int(self.world.now // 600) % 900 + 100}"
        models = [
            {"id": "a/one", "name": "One", "pricing": {"prompt": moving, "completion": "0.1"}},
            {"id": "a/two", "name": "Two", "pricing": {"prompt": "0", "completion": "0"}},
        ]
        return msgspec.json.encode({"data": models})

    # What always holds. Each check sees what really happened in the stores, not what was reported.

    def _receive(self, process: Process, forced: bool) -> None:
        for earlier in self.receipts:
            dead = not (earlier.kept or earlier.missed) and earlier.process.faults > earlier.faults_before
            unread = not earlier.in_database and process.faults > self.faults_at_work[process.name]
            if forced or earlier.forced or earlier.excused or dead or unread:
                continue
            if self.world.now - earlier.at < self.window:
                self._broken(f"{process.name} fetched again {self.world.now - earlier.at:.0f} s later")
        query = "SELECT degraded FROM refresh_runs ORDER BY id DESC LIMIT 1"
        degraded = bool(self.database.execute(query).fetchone()[0])
        self.receipts.append(Receipt(self.world.now, process, getcurrent(), process.faults, forced, degraded))
        self.world.note(f"{process.name} received the list whole")
        self.world.endanger(process)

    def _watch_step(self, process: Process, strand: greenlet, where: str) -> None:
        if self.receipts and self.receipts[-1].process is process and self.receipts[-1].strand is strand:
            self.receipts[-1].see(where)

    def _watch_redis(self, key: bytes, before: Any, after: Any, arguments: Any) -> None:
        if (
            key == LOCK_KEY.encode()
            and after is None
            and arguments != (b"evicted",)
            and before not in arguments
        ):
            self._broken(f"the lock of {before!r} was released by another")
        if key == PAYLOAD_KEY.encode():
            if after is not None:
                self.receipts[-1].keep(in_database=False)
            elif arguments == (b"evicted",) and self.receipts and not self.receipts[-1].in_database:
                self.receipts[-1].excused = True
        if key == SNAPSHOT_KEY.encode() and before and after:
            older, newer = (int(told.get(b"refreshed_us", 0)) for told in (before, after))
            if newer < older:
                self._broken("an older publication replaced a later one")

    def _watch_commit(self) -> None:
        looked = self.database.cursor()
        (revision, refreshed_run, refreshed_at) = looked.execute(
            "SELECT revision, refreshed_run_id, refreshed_at FROM catalogue"
        ).fetchone()
        started, forced, began = looked.execute(
            "SELECT coalesce(max(id), 0), max(forced), max(started_at) FROM refresh_runs "
            "WHERE id = (SELECT max(id) FROM refresh_runs)"
        ).fetchone()
        kept = looked.execute("SELECT count(*) FROM received_bodies").fetchone()[0]
        if kept and self.receipts:
            self.receipts[-1].keep(in_database=True)
        if started > self.runs_started:
            self._check_start(started, forced, as_seconds(began))
        if (refreshed_run or 0) != self.refreshed_run:
            if refreshed_run != self.runs_started:
                self._broken(f"run {refreshed_run} committed after run {self.runs_started} had started")
            self.refreshed_run, self.refreshed_at = refreshed_run, as_seconds(refreshed_at)
            self.world.note(f"run {refreshed_run} committed revision {revision}")
        if revision not in (self.revision, self.revision + 1):
            self._broken(f"revision {self.revision} was followed by {revision}")
        self.revision = revision

    def _check_start(self, run_id: int, forced: int, began: float | None) -> None:
        self.runs_started = run_id
        fresh = (
            self.refreshed_at is not None and began is not None and began - self.refreshed_at < self.window
        )
        if fresh and not forced:
            self._broken(f"run {run_id} started while the prices were fresh")

    def _expect_another_try(self, process: Process) -> None:
        """A send that failed is tried again soon, by a beat that nothing else befalls."""
        tries, faults, runs = self.tries_to_send, process.faults, self._runs()

        def look_back() -> None:
            untouched = process.alive and process.faults == faults and self._runs() == runs
            leads = process.name in str(self.server.data.get(BEAT_LEADER_KEY.encode()))
            if untouched and leads and self.tries_to_send == tries:
                self._broken(f"{process.name} forgot a refresh that it could not send")

        self.world.spawn(self.observer, look_back, 3 * LOOK_SECONDS)

    def _runs(self) -> tuple[Any, ...]:
        return tuple(self.database.execute("SELECT max(id), max(heartbeat_at), max(state) FROM refresh_runs"))

    def expect_no_dead_run(self) -> None:
        """A run whose holder died was taken over within three minutes."""
        if self.refreshed_at is not None and self.world.now - self.refreshed_at < self.window + 180:
            return
        query = "SELECT id, heartbeat_at FROM refresh_runs WHERE state = 'running'"
        for run_id, heartbeat in self.database.execute(query):
            if self.world.now - (as_seconds(heartbeat) or 0) > 180:
                self._broken(f"run {run_id} died and nobody took over")

    def _broken(self, what: str) -> None:
        self.world.note(f"BROKEN: {what}")
        broken = BrokenInvariantError(what)
        self.world.stop(broken)
        raise broken

    def close(self) -> None:
        """Let everything go."""
        self.world.end()


def sim_settings(refresh_seconds: float, lease: float) -> Settings:
    """Make settings for a world; nothing of them is a real address."""
    return Settings.from_env(
        {
            "PRICE_REFRESH_HOURS": str(refresh_seconds / 3600),
            "PRICE_LOCK_LEASE": str(lease),
            "REDIS_URL": "redis://127.0.0.1:1/0",
            "DATABASE_URL": "sqlite://",
            "OPENROUTER_BASE_URL": "http://127.0.0.1:1/api/v1",
        }
    )
