"""The processes of a simulated cluster, what can befall each, and the clock each reads."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.system.simulation.world import World


@dataclass(frozen=True)
class Odds:
    """How likely each misfortune is, every time a process waits for the outside."""

    crash: float = 0.0
    pause: float = 0.0
    refused: float = 0.0
    reply_lost: float = 0.0
    slow: float = 0.0
    """That upstream lets the next part of its body wait."""
    hung: float = 0.0
    """That the database takes a question, and its answer never comes."""
    lost: float = 0.0
    """That the broker loses what it has just taken in."""


@dataclass(eq=False)
class Process:
    """One process of the cluster: all its strands stop, sleep and die together."""

    name: str
    alive: bool = True
    stopped_until: float = 0.0
    on_death: Callable[[], None] = lambda: None
    faults: int = 0
    spared: int = 0
    peril: int = 0
    """How many of its next steps are ten times as dangerous, once it was `spared` so many."""


@dataclass(frozen=True)
class VirtualClock:
    """The clock of one process: the world's."""

    world: "World"

    def monotonic(self) -> float:
        """Give the world's time."""
        return self.world.now

    @contextmanager
    def periodically(self, seconds: float, act: Callable[[], bool]) -> Iterator[None]:
        """Act in a strand of its own, as the thread of the real clock does."""
        stopped = acting = False

        def repeat() -> None:
            nonlocal acting
            goes_on = True
            while goes_on:
                self.world.sleep(seconds)
                if stopped:
                    return
                acting = True
                goes_on = act()
                acting = False

        self.world.spawn(self.world.process(), repeat)
        try:
            yield
        finally:
            stopped, until = True, self.world.now + 1
            while acting and self.world.now < until:
                self.world.sleep(0.05)
