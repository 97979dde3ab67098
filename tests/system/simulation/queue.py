"""The broker of a simulated cluster: it delivers at least once, unless it comes back empty."""

import heapq
import itertools
from dataclasses import dataclass

from greenlet import greenlet

from tests.system.simulation.world import World


@dataclass(frozen=True)
class Message:
    """A refresh in the queue."""

    number: int
    force: bool = False


class Queue:
    """The messages that wait, and the workers that wait for one."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._waiting: list[tuple[float, int, Message]] = []
        self._numbers = itertools.count(1)
        self.sent = 0
        self.times_lost = 0
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

    def lose(self) -> None:
        """Come back empty: what was being worked on is not delivered again either."""
        self._waiting.clear()
        self.times_lost += 1

    def __len__(self) -> int:
        return len(self._waiting)
