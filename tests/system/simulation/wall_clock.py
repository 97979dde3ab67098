"""The wall clock of the database's machine, which somebody may set, by a little or by days."""

from tests.system.simulation.world import World

JUMPS = (20.0, 100.0, 200.0, 290.0, 2400.0, 7200.0, 259_200.0)
"""By how many seconds the clock is set: less and more than a lease, than the freshness window, than the hour
that counts as well ahead in Redis."""


class WallClock:
    """Right at first, that is the world's; then as many seconds ahead of it as it was set last."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._settings = [0.0]
        self.set_at = float("-inf")
        """When it was set last, in the world's time."""

    @property
    def now(self) -> float:
        """What it shows."""
        return self._world.now + self._settings[-1]

    def set(self, ahead: float) -> None:
        """Set it so many seconds ahead of the right time; behind it where that is negative."""
        self._world.note(f"the database's clock is set from {self._settings[-1]:+g} s to {ahead:+g} s")
        self._settings.append(ahead)
        self.set_at = self._world.now

    def move(self) -> None:
        """Set it forward or back by a distance that the seed decides."""
        draw = self._world.random
        self.set(self._settings[-1] + draw.choice((1, -1)) * draw.choice(JUMPS))

    @property
    def was_set(self) -> bool:
        """Whether it was ever set."""
        return len(self._settings) > 1

    def was_set_since(self, at: float) -> bool:
        """Whether it was set since a time of the world."""
        return self.set_at >= at

    def meant_by(self, shown: float) -> list[float]:
        """Give the times of the world at which it may have shown this, by the latest setting first."""
        return [shown - ahead for ahead in reversed(self._settings)]
