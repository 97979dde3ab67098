"""The virtual world: time, processes, and what befalls them. A seed decides everything."""

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from greenlet import GreenletExit, getcurrent, greenlet

from tests.system.simulation.process import Odds, Process


@dataclass
class World:
    """One run of the simulation. Strands are greenlets; only the hub, `run`, resumes them."""

    seed: int
    odds: Odds = field(default_factory=Odds)
    now: float = 1_000_000.0
    random: Random = field(init=False)
    trace: list[str] = field(default_factory=list)
    over: bool = False
    watch: Callable[[Process, greenlet, str], None] = lambda _process, _strand, _where: None
    """Told whenever a strand waits for the outside, and where."""

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self._agenda: list[tuple[float, int, greenlet, Process, int]] = []
        self._naps: dict[greenlet, int] = {}
        self._order = itertools.count()
        self._strands: dict[greenlet, Process] = {}
        self._failure: BaseException | None = None
        self._until = self.now

    def note(self, what: str) -> None:
        """Write a line of what happened, for whoever replays the seed."""
        self.trace.append(f"{self.now - 1_000_000:10.3f} {what}")

    def spawn(self, process: Process, work: Callable[[], None], delay: float = 0.0) -> None:
        """Begin a strand of a process."""

        def strand() -> None:
            try:
                work()
            except GreenletExit:
                pass
            except BaseException as error:  # noqa: BLE001 - handed to the hub, which ends the run
                self.stop(error)

        begun = greenlet(strand)
        self._strands[begun] = process
        self._at(self.now + delay, begun, process)

    def run(self, until: float) -> None:
        """Let the world go on until a time. Raises what a strand raised."""
        self._until = until
        while self._agenda and self._agenda[0][0] <= until:
            at, _order, strand, process, nap = heapq.heappop(self._agenda)
            if not process.alive or strand.dead:
                continue
            if nap != self._naps.get(strand, 0):
                continue  # it was woken before
            if process.stopped_until > at:
                self._at(process.stopped_until, strand, process)
                continue
            self.now = max(self.now, at)
            self._naps[strand] = nap + 1
            strand.parent = getcurrent()
            strand.switch()
            if strand.dead:
                del self._strands[strand], self._naps[strand]
            if self._failure is not None:
                raise self._failure
        self.now = max(self.now, until)

    def stop(self, failure: BaseException) -> None:
        """End the run with a failure, also where the code that runs now swallows what is raised."""
        self._failure = self._failure or failure

    def end(self) -> None:
        """Let every strand go, those of the dead too, without its clean-up touching the world."""
        self.over = True
        for strand in list(self._strands):
            if not strand.dead and strand:
                strand.parent = getcurrent()
                strand.throw(GreenletExit)
        self._strands.clear()

    def process(self) -> Process:
        """Give the process whose strand runs now."""
        return self._strands[getcurrent()]

    def sleep(self, seconds: float) -> None:
        """Let this strand wait."""
        self.leave_if_over()
        strand = getcurrent()
        process, at = self._strands[strand], self.now + seconds
        if self._nothing_before(at) and process.alive and process.stopped_until <= at:
            self.now = at
            return
        self._at(at, strand, process)
        strand.parent.switch()
        self.leave_if_over()

    def _nothing_before(self, at: float) -> bool:
        """Whether the hub would resume the strand that asks next of all: then it may as well go on."""
        return at <= self._until and self._failure is None and not (self._agenda and self._agenda[0][0] <= at)

    def leave_if_over(self) -> None:
        """End a strand that cleans up after the world has ended."""
        if self.over:
            raise GreenletExit

    def _at(self, when: float, strand: greenlet, process: Process) -> None:
        heapq.heappush(self._agenda, (when, next(self._order), strand, process, self._naps.get(strand, 0)))

    def wake(self, strand: greenlet, delay: float) -> None:
        """Let a strand that sleeps go on earlier."""
        if strand in self._strands:
            self._at(self.now + delay, strand, self._strands[strand])

    def kill(self, process: Process) -> None:
        """End a process as kill -9 does: nothing of it runs again, no clean-up either."""
        process.alive = False
        process.on_death()

    def befall(self, where: str) -> None:
        """Let time pass, and perhaps kill or stop the process that waits here."""
        self.leave_if_over()
        process = self.process()
        self.watch(process, getcurrent(), where)
        draw = self.random.random()
        if process.spared:
            process.spared -= 1
        elif process.peril:
            process.peril -= 1
            draw /= 10
        if draw < self.odds.crash:
            self.note(f"{process.name} is killed at {where}")
            process.faults += 1
            self.kill(process)
            self.sleep(0)
        elif draw < self.odds.crash + self.odds.pause:
            seconds = self.random.choice((5.0, 70.0, 150.0, 150.0))
            self.note(f"{process.name} is stopped for {seconds:g} s at {where}")
            process.faults += 1
            process.stopped_until = self.now + seconds
            self.sleep(0)
        else:
            self.sleep(self.random.random() * 0.05)

    def endanger(self, process: Process) -> None:
        """Make some of a process's next steps dangerous at times: look closer where something is at stake."""
        if self.random.random() < 0.5:
            process.spared = self.random.choice((0, 1, 2, 3, 4, 4, 4, 5, 6))
            process.peril = self.random.choice((1, 1, 2, 4))

    def fails(self, chance: float) -> bool:
        """Draw whether this goes wrong for the process that asks."""
        failed = self.random.random() < chance
        if failed:
            self.process().faults += 1
        return failed
