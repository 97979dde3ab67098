"""The rule of one fetch: who received the list whole, and whether all others could have used it."""

from collections.abc import Iterable
from dataclasses import dataclass

from greenlet import greenlet

from prices.upstream.received import Received
from tests.system.simulation.process import Process


@dataclass
class Receipt:
    """A body that was received whole, and whether it is in the stash, where all can use it.

    Its receiver must stash it next, in Redis unless it runs without, then in the database. `missed` is one
    that it went on without stashing though nothing hindered it. `excused` is one that it could stash only
    after something had befallen it: another may have fetched before.
    """

    at: float
    run: int
    process: Process
    strand: greenlet
    digest: str
    forced: bool
    degraded: bool
    faults_before: int
    in_redis: bool = False
    in_database: bool = False
    missed: bool = False
    excused: bool = False
    stashed_at: float = 0.0

    @property
    def is_hindered(self) -> bool:
        """Whether something has befallen its receiver since."""
        return self.process.faults > self.faults_before

    def see(self, where: str) -> None:
        """Judge by the receiver's next step: it must be the stash, unless something came between.

        A script that Redis does not know yet is sent to it first.
        """
        if "SCRIPT LOAD" in where:
            return
        if not (self.in_database or self.is_hindered):
            into_database = "database" in where and (self.in_redis or self.degraded)
            self.missed = self.missed or not ("price_payload" in where or into_database)

    def keep(self, now: float, *, in_database: bool) -> None:
        """Note that it is in the stash now."""
        self.stashed_at = now
        self.excused = self.excused or self.is_hindered
        self.in_redis = self.in_redis or not in_database
        self.in_database = self.in_database or in_database

    def binds(self, reader: Process, faults_at_work: int) -> bool:
        """Whether a process that works since it had so many faults should have used it."""
        if self.forced or self.excused:
            return False
        if self.missed or self.in_database or not self.is_hindered:
            return True
        return self.in_redis and reader.faults == faults_at_work


class Receipts:
    """All bodies that were received whole in a world."""

    def __init__(self) -> None:
        self._all: list[Receipt] = []

    def add(self, receipt: Receipt) -> None:
        """Note one more."""
        self._all.append(receipt)

    def binding(self, reader: Process, faults_at_work: int, since: float) -> Receipt | None:
        """Give one, received after a time, that a process should have used."""
        return next((one for one in self._all if one.at > since and one.binds(reader, faults_at_work)), None)

    def step(self, strand: greenlet, where: str) -> None:
        """Judge the last by a step of its receiver."""
        if self._all and self._all[-1].strand is strand:
            self._all[-1].see(where)

    def committing(self, strand: greenlet, stashed: int | None) -> None:
        """Judge the last by its receiver's next transaction: it must be the one that stashes."""
        if self._all and self._all[-1].strand is strand:
            last = self._all[-1]
            last.missed = last.missed or not (last.in_database or last.is_hindered or stashed == last.run)

    def kept_in_database(self, now: float, run: int | None) -> None:
        """Note whose body the database keeps now."""
        for receipt in self._all:
            if receipt.run == run and not receipt.in_database:
                receipt.keep(now, in_database=True)

    def kept_in_redis(self, now: float, strand: greenlet) -> None:
        """Note that a strand has put the body that it received into Redis."""
        for receipt in self._all:
            if receipt.strand is strand:
                receipt.keep(now, in_database=False)

    def lost_by_redis(self) -> None:
        """Note that Redis keeps none any more."""
        for receipt in self._all:
            receipt.in_redis = False

    def explain(self, times: Iterable[float], digest: str, lasts: float, clock_set_at: float) -> float | None:
        """Give the first of these times at most so many seconds after a body was received or stashed.

        A body whose stash bears a time a little ahead, because the clock was set, counts as just received.
        """
        for at in times:
            for one in self._all:
                by = float("inf") if clock_set_at >= one.at else max(one.at, one.stashed_at) + lasts
                if one.digest == digest and one.at - 1 <= at <= by:
                    return at
        return None


def digest_of(body: bytes) -> str:
    """Name a body as the catalogue does."""
    return Received(body).receipt.digest
