"""How many commands clients send to Redis, counted by Redis itself: what a script does there is left out."""

from collections.abc import Callable, Collection

from redis import Redis

BEGINNING, END = "ECHO the beginning", "ECHO the end"


def commands_per_act(redis: Redis, act: Callable[[], object], times: int = 20) -> float:
    """Count what all clients send while an act is done; the first time, which may load a script, apart."""
    act()

    def repeat() -> None:
        for _ in range(times):
            act()

    return commands_meanwhile(redis, repeat) / times


def commands_meanwhile(redis: Redis, act: Callable[[], object], ignoring: Collection[str] = ()) -> int:
    """Count what all clients send while something is done, but for the commands of the given names."""
    with redis.monitor() as monitor:
        redis.echo("the beginning")  # the client has a second connection open from here on
        act()
        redis.echo("the end")
        sent: list[str] = []
        while not sent or sent[-1] != END:
            told = monitor.next_command()
            if told["client_type"] != "lua":
                sent.append(told["command"])
    counted = sent[sent.index(BEGINNING) + 1 : -1]
    return sum(command.split(" ", 1)[0] not in ignoring for command in counted)
