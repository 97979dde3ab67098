"""How many commands clients send to Redis, counted by Redis itself: what a script does there is left out."""

from collections.abc import Callable, Collection

from redis import Redis

from tests.support.commands import commands_of


def commands_per_act(redis: Redis, act: Callable[[], object], times: int = 20) -> float:
    """Count what all clients send while an act is done; the first time, which may load a script, apart."""
    act()

    def repeat() -> None:
        for _ in range(times):
            act()

    return commands_meanwhile(redis, repeat) / times


def commands_meanwhile(redis: Redis, act: Callable[[], object], ignoring: Collection[str] = ()) -> int:
    """Count what all clients send while something is done, but for the commands of the given names."""
    return sum(name not in ignoring for name in commands_of(redis, act))
