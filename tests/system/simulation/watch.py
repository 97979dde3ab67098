"""What always holds. Each check sees what really happened in the stores, not what was reported."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from greenlet import getcurrent, greenlet

from prices.coordination.freshness import CLOCK_SLACK, fresh_for
from prices.runtime.redis_client import LOCK_KEY, PAYLOAD_KEY
from prices.runtime.settings import Settings
from tests.system.simulation.database import KEYS, as_seconds
from tests.system.simulation.in_force import PricesReceived, is_older
from tests.system.simulation.process import Process
from tests.system.simulation.receipts import Receipt, Receipts, digest_of
from tests.system.simulation.redis import EVICTED
from tests.system.simulation.wall_clock import WallClock
from tests.system.simulation.works import Run, Wait, Work
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


class Watch:
    """Looks on, and ends the world when something happens that never may."""

    def __init__(
        self, world: World, clock: WallClock, settings: Settings, lock: Callable[[], bytes | None]
    ) -> None:
        self._world, self._clock, self._lock = world, clock, lock
        self.window = fresh_for(settings.refresh_interval).total_seconds()
        self._lease, self._ttl = settings.lock_lease.total_seconds(), settings.lock_ttl.total_seconds()
        self._receipts = Receipts()
        self._works: dict[Process, Work] = {}
        self._runs: dict[Process, int] = {}
        self._began: dict[int, float] = {}
        self._prices = PricesReceived()
        self._run = Run(0, Process("nobody"), 0, 0.0, running=False)
        self._wait = Wait(0, self._run.holder, 0, 0.0, 0.0)
        self._refreshed_run = self._revision = 0
        self._committed_at = 0.0
        self.refreshed_at: float | None = None
        """Of when the prices are, in the world's time."""
        self.shown_at: float | None = None
        """What the database says of when they are."""

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
        now, work, run = self._world.now, self._works[process], self._runs[process]
        # A clock that is set costs one fetch more, and those that are under way then.
        before_it_was_set = self._clock.was_set_since(self._began[run])
        since = max(now - self.window, self._clock.set_at)
        earlier = self._receipts.binding(process, work.faults, since)
        if earlier and not forced and not before_it_was_set:
            self.broken(f"{process.name} fetched again {now - earlier.at:.0f} s later")
        digest = digest_of(body)
        self._prices.add(digest, body)
        receipt = Receipt(now, run, process, getcurrent(), digest, forced, degraded, process.faults)
        receipt.excused = before_it_was_set
        self._receipts.add(receipt)

    def asked_to_wait(self, process: Process, seconds: float) -> None:
        """Upstream refused a process, and asked that nobody comes again within so many seconds."""
        now = self._world.now
        self._wait = Wait(self._runs[process], process, process.faults, now, now + seconds)

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
        elif key == KEYS.snapshot.encode() and is_older(after, before, self._clock, self._world.now):
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
        if heartbeat != self._run.heartbeat:
            self._run.heartbeat, self._run.beaten_at = heartbeat, self._world.now
        untouched = self._run.holder.faults == self._run.faults
        if untouched and self._run.beaten_at - self._run.started > self._ttl + 1:
            self.broken(f"run {run} lives longer than a claim may last")
        if (refreshed_run or 0) != self._refreshed_run:
            self._refreshed(refreshed_run, as_seconds(refreshed_at) or 0.0, digest)
            if deviation := self._prices.deviation(database, digest):
                self.broken(deviation)
            self._world.note(f"run {refreshed_run} committed revision {revision}")
        if revision not in (self._revision, self._revision + 1):
            self.broken(f"revision {self._revision} was followed by {revision}")
        self._revision = revision

    def _run_started(self, number: int, forced: int, degraded: int, started: float) -> None:
        last, holder, now = self._run, self._world.process(), self._world.now
        self._run = Run(number, holder, holder.faults, now)
        self._runs[holder], self._began[number] = number, now
        if not forced and self.shown_at is not None and abs(started - self.shown_at) < self.window:
            self.broken(f"run {number} started while the prices were fresh")
        if degraded and self._holds_lock(holder) and holder.faults - self._works[holder].faults <= 1:
            self.broken(f"{holder.name} does not know its own lock after one lost reply")
        wait, came_to_tell = self._wait, self._wait.holder.faults == self._wait.faults
        waited = now >= wait.until or self._clock.was_set_since(wait.asked_at)
        if not forced and wait.run == last.number and came_to_tell and not waited:
            self.broken(f"run {number} did not wait as upstream had asked")
        untouched = last.running and last.holder.alive and last.holder.faults == last.faults
        gave_way = now - last.rival_at > self._lease / 3
        seemed_dead = self._clock.was_set_since(last.beaten_at)  # by its heartbeat, without a lock in Redis
        if untouched and not gave_way and not seemed_dead and now - last.started <= self._ttl:
            self.broken(f"run {number} took over from run {last.number}, whose holder nothing had befallen")

    def _refreshed(self, number: int, at: float, digest: str) -> None:
        if number != self._run.number:
            self.broken(f"run {number} committed after run {self._run.number} had started")
        now, was_set = self._world.now, self._clock.was_set_since(self._committed_at)
        if self.shown_at is not None and at < self.shown_at and not was_set:
            self.broken(f"run {number} confirmed the prices of an earlier time than the run before")
        self._refreshed_run, self.shown_at, self._committed_at = number, at, now
        meant = self._clock.meant_by(at)
        self.refreshed_at = self._receipts.explain(meant, digest, now - self._run.started, self._clock.set_at)
        if self.refreshed_at is None:
            self.broken(f"run {number} says that prices of another time are of {at:.0f}")

    @property
    def started_at(self) -> float:
        """When the last run was started, in the world's time."""
        return self._run.started

    @property
    def beaten_at(self) -> float:
        """When the run that was started last showed that it lives, in the world's time."""
        return self._run.beaten_at

    @property
    def lateness(self) -> float:
        """How many seconds later than otherwise the next refresh may be due, because the clock was set.

        Prices of a time ahead by no more than the window count as fresh until that window has ended. They may
        come to be so while the last run, ahead by no more than what is forgiven a clock, is followed a lease
        after it began.
        """
        if not self._clock.was_set_since(self._committed_at):
            return 0.0
        forgiven = self._lease + CLOCK_SLACK.total_seconds()
        return self._clock.set_at - self._committed_at + self.window + forgiven


def _name(token: bytes) -> str:
    return token.decode().split("|")[0]
