"""What always holds. Each check sees what really happened in the stores, not what was reported."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from greenlet import getcurrent, greenlet

from prices.coordination.freshness import fresh_for
from prices.runtime.redis_client import LOCK_KEY, PAYLOAD_KEY
from prices.runtime.settings import Settings
from tests.system.simulation.database import KEYS, as_seconds
from tests.system.simulation.process import Process
from tests.system.simulation.receipts import Receipt, Receipts, digest_of
from tests.system.simulation.redis import EVICTED
from tests.system.simulation.world import World

_STATE = """
SELECT c.revision, c.refreshed_run_id, c.refreshed_at, c.body_digest,
    r.id, r.state, r.forced, r.degraded, r.started_at, r.heartbeat_at,
    (SELECT max(run_id) FROM received_bodies)
FROM catalogue c LEFT JOIN refresh_runs r ON r.id = (SELECT max(id) FROM refresh_runs)
"""
_STASHED = "SELECT max(run_id) FROM received_bodies"


class BrokenInvariantError(AssertionError):
    """Something happened that never may."""


@dataclass
class Run:
    """The run that was started last, and its holder."""

    number: int
    holder: Process
    faults: int
    started: float
    running: bool = True
    rival_at: float = float("inf")
    """When another first took the Redis lock, which had vanished: at two renewals the holder gives way."""


@dataclass(frozen=True)
class Wait:
    """What upstream asked of a run: that nobody comes before a time."""

    run: int
    holder: Process
    faults: int
    until: float


@dataclass(frozen=True)
class Work:
    """How things stood when a worker took a message."""

    faults: int
    lock: bytes | None
    last_run: int


class Watch:
    """Looks on, and ends the world when something happens that never may."""

    def __init__(self, world: World, settings: Settings, lock: Callable[[], bytes | None]) -> None:
        self._world, self._lock = world, lock
        self.window = fresh_for(settings.refresh_interval).total_seconds()
        self._lease, self._ttl = settings.lock_lease.total_seconds(), settings.lock_ttl.total_seconds()
        self._receipts = Receipts()
        self._works: dict[Process, Work] = {}
        self._runs: dict[Process, int] = {}
        self._run = Run(0, Process("nobody"), 0, 0.0, running=False)
        self._wait = Wait(0, self._run.holder, 0, 0.0)
        self._refreshed_run = self._revision = 0
        self.refreshed_at: float | None = None

    def broken(self, what: str) -> NoReturn:
        """End the world because of what happened."""
        self._world.note(f"BROKEN: {what}")
        error = BrokenInvariantError(what)
        self._world.stop(error)
        raise error

    def work_begins(self, process: Process) -> None:
        """A worker has taken a message."""
        self._works[process] = Work(process.faults, self._lock(), self._run.number)

    def work_ends(self, process: Process) -> None:
        """A worker is done: it leaves no lock behind, unless something befell it since its run began."""
        work, run = self._works[process], self._run
        ran = run.holder is process and run.number > work.last_run
        befallen = process.faults > (run.faults if ran else work.faults)
        if not befallen and self._lock() != work.lock and self._holds_lock(process):
            self.broken(f"{process.name} left its lock behind")

    def _holds_lock(self, process: Process) -> bool:
        return (self._lock() or b"").startswith(f"{process.name}|".encode())

    def received(self, process: Process, body: bytes, *, forced: bool, degraded: bool) -> None:
        """A process received the list whole: none does that another has received and could keep."""
        now, work = self._world.now, self._works[process]
        earlier = None if forced else self._receipts.binding(process, work.faults, now - self.window)
        if earlier:
            self.broken(f"{process.name} fetched again {now - earlier.at:.0f} s later")
        run, digest = self._runs[process], digest_of(body)
        self._receipts.add(Receipt(now, run, process, getcurrent(), digest, forced, degraded, process.faults))

    def asked_to_wait(self, process: Process, seconds: float) -> None:
        """Upstream refused a process, and asked that nobody comes again within so many seconds."""
        self._wait = Wait(self._runs[process], process, process.faults, self._world.now + seconds)

    @property
    def waits_until(self) -> float:
        """Until when upstream asked last that nobody comes."""
        return self._wait.until

    def step(self, _process: Process, strand: greenlet, where: str) -> None:
        """A strand is about to wait for the outside."""
        self._receipts.step(strand, where)

    def redis_changed(self, key: bytes, before: Any, after: Any, arguments: Sequence[bytes]) -> None:
        """A key of Redis changes: before and after are None where it is not there."""
        if key == LOCK_KEY.encode():
            if before not in (None, *arguments) and arguments != EVICTED:
                self.broken(f"the lock of {_name(before)} was taken or released by another")
            if after is not None and _name(after) != self._run.holder.name:
                self._run.rival_at = min(self._run.rival_at, self._world.now)
        elif key == PAYLOAD_KEY.encode():
            if after is not None:
                self._receipts.kept_in_redis(self._world.now, getcurrent())
            else:
                self._receipts.lost_by_redis()
        elif key == KEYS.snapshot.encode() and before and after:
            older, newer = (int(told.get(b"refreshed_us", 0)) for told in (before, after))
            if newer < older:
                self.broken("an older publication replaced a later one")

    def committing(self, database: sqlite3.Connection) -> None:
        """A transaction that wrote is about to commit."""
        self._receipts.committing(getcurrent(), database.execute(_STASHED).fetchone()[0])

    def committed(self, database: sqlite3.Connection) -> None:
        """A transaction that wrote was committed."""
        told = database.execute(_STATE).fetchone()
        revision, refreshed_run, refreshed_at, digest, run, state, forced, degraded, *times, stashed = told
        started, heartbeat = (as_seconds(time) or 0.0 for time in times)
        self._receipts.kept_in_database(self._world.now, stashed)
        if (run or 0) > self._run.number:
            self._run_started(run, forced, degraded, started)
        self._run.running = state == "running"
        untouched = self._run.holder.faults == self._run.faults
        if untouched and heartbeat - started > self._ttl + 1:
            self.broken(f"run {run} lives longer than a claim may last")
        if (refreshed_run or 0) != self._refreshed_run:
            self._refreshed(refreshed_run, as_seconds(refreshed_at) or 0.0, digest)
            self._world.note(f"run {refreshed_run} committed revision {revision}")
        if revision not in (self._revision, self._revision + 1):
            self.broken(f"revision {self._revision} was followed by {revision}")
        self._revision = revision

    def _run_started(self, number: int, forced: int, degraded: int, started: float) -> None:
        last, holder = self._run, self._world.process()
        self._run = Run(number, holder, holder.faults, started)
        self._runs[holder] = number
        if not forced and self.refreshed_at is not None and started - self.refreshed_at < self.window:
            self.broken(f"run {number} started while the prices were fresh")
        if degraded and self._holds_lock(holder) and holder.faults - self._works[holder].faults <= 1:
            self.broken(f"{holder.name} does not know its own lock after one lost reply")
        wait, came_to_tell = self._wait, self._wait.holder.faults == self._wait.faults
        if not forced and wait.run == last.number and came_to_tell and self._world.now < wait.until:
            self.broken(f"run {number} did not wait as upstream had asked")
        untouched = last.running and last.holder.alive and last.holder.faults == last.faults
        gave_way = self._world.now - last.rival_at > self._lease / 3
        if untouched and not gave_way and started - last.started <= self._ttl:
            self.broken(f"run {number} took over from run {last.number}, whose holder nothing had befallen")

    def _refreshed(self, number: int, at: float, digest: str) -> None:
        if number != self._run.number:
            self.broken(f"run {number} committed after run {self._run.number} had started")
        if self.refreshed_at is not None and at < self.refreshed_at:
            self.broken(f"run {number} confirmed the prices of an earlier time than the run before")
        self._refreshed_run, self.refreshed_at = number, at
        if not self._receipts.explain(at, digest, self._world.now - self._run.started):
            self.broken(f"run {number} says that prices of another time are of {at:.0f}")


def _name(token: bytes) -> str:
    return token.decode().split("|")[0]
