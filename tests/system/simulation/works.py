"""What the watch remembers of a run, of a wait that upstream asked for, and of a worker's message."""

from dataclasses import dataclass

from tests.system.simulation.process import Process


@dataclass
class Run:
    """The run that was started last, and its holder. Times are the world's."""

    number: int
    holder: Process
    faults: int
    started: float
    heartbeat: float = 0.0
    """What the database's clock showed at the last heartbeat."""
    beaten_at: float = 0.0
    running: bool = True
    rival_at: float = float("inf")
    """When another first took the Redis lock, which had vanished: at two renewals the holder gives way."""


@dataclass(frozen=True)
class Wait:
    """What upstream asked of a run: that nobody comes before a time."""

    run: int
    holder: Process
    faults: int
    asked_at: float
    until: float


@dataclass(frozen=True)
class Work:
    """How things stood when a worker took a message."""

    faults: int
    lock: bytes | None
    last_run: int
