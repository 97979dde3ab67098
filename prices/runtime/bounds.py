"""How long anything waits for a database: by the kind of process, and by who asks."""

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

_deadline: ContextVar[float] = ContextVar("deadline", default=math.inf)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a process lets its transactions take, in seconds."""

    connect: int = 2
    """Until a connection is made, or one of the process's own is free."""
    statement: float = 10
    """For one statement."""
    lock: float = 5
    """For a lock that another holds."""
    idle: float = 10
    """Between two statements, on PostgreSQL, whose server ends the transaction then.

    A holder that was stopped in its commit, or whose host is gone, would else keep everyone out as long as
    its session lasts. Far below the lease, so that its heir finds the way free; far above what we compute
    between two statements, which is seconds for the largest list that we take.
    """


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Bound what this thread waits for PostgreSQL in the block; a bound that is there is never extended."""
    token = _deadline.set(min(_deadline.get(), time.monotonic() + seconds))
    try:
        yield
    finally:
        _deadline.reset(token)


def seconds_left() -> float:
    """Give how long this thread may still wait: infinite without a bound, negative once it has passed."""
    return _deadline.get() - time.monotonic()
