"""What a client sends to Redis, seen by Redis itself."""

from collections.abc import Callable

from redis import Redis

BEGINNING, END = "ECHO the beginning", "ECHO the end"


def commands_of(redis: Redis, act: Callable[[], object]) -> list[str]:
    """The commands that were sent to Redis meanwhile, by their first words; not what a script does there."""
    with redis.monitor() as monitor:
        redis.echo("the beginning")  # the client has a second connection open from here on
        act()
        redis.echo("the end")
        seen: list[str] = []
        while not seen or seen[-1] != END:
            told = monitor.next_command()
            if told["client_type"] != "lua":
                seen.append(told["command"])
    return [command.split()[0] for command in seen[seen.index(BEGINNING) + 1 : -1]]
