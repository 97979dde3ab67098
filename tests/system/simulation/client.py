"""One process's client of the simulated Redis: every question may be refused, late, or lose its reply."""

from collections.abc import Callable, Sequence
from typing import Any, Self

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.system.simulation.lua import as_bytes, sha_of
from tests.system.simulation.redis import SimRedisServer


class SimRedis:
    """What the product uses of redis-py's client."""

    def __init__(self, server: SimRedisServer) -> None:
        self._server = server
        self._world = server.world

    def ask(self, where: str, act: Callable[[], Any]) -> Any:
        """Go there and back."""
        self._world.befall(f"redis {where}, before")
        if self._server.is_down or self._world.fails(self._world.odds.refused):
            self._world.process().faults += 1
            raise RedisConnectionError("refused")
        answer = act()
        self._world.befall(f"redis {where}, after")
        if self._world.fails(self._world.odds.reply_lost):
            raise RedisTimeoutError("the reply was lost")
        return answer

    def script_load(self, script: str) -> str:
        """Have the server keep a script; give its name."""
        return str(self.ask("SCRIPT LOAD", lambda: self._server.load(script)))

    def evalsha(self, sha: str, numkeys: int, *keys_and_args: Any) -> Any:
        """Run a script that the server keeps. Raises NoScriptError where it does not."""
        words = [as_bytes(word) for word in keys_and_args]
        answer = self.ask(
            f"script {' '.join(map(str, keys_and_args[:numkeys]))}",
            lambda: self._server.run(sha, numkeys, words) if self._server.knows(sha) else NoScriptError(),
        )
        if isinstance(answer, NoScriptError):
            raise answer
        return answer

    def register_script(self, script: str) -> Callable[..., Any]:
        """Give the script as something to call, which loads it where it must."""

        def call(keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
            try:
                return self.evalsha(sha_of(script), len(keys), *keys, *args)
            except NoScriptError:
                self.script_load(script)
                return self.evalsha(sha_of(script), len(keys), *keys, *args)

        return call

    def get(self, key: str) -> Any:
        """Read a string."""
        return self.ask(f"GET {key}", lambda: self._server.do(b"GET", key) or None)

    def set(self, key: str, value: Any, px: Any = None) -> Any:
        """Write a string."""
        words = [key, value]
        if px is not None:
            words += [b"PX", px if isinstance(px, int) else int(px.total_seconds() * 1000)]
        return self.ask(f"SET {key}", lambda: self._server.do(b"SET", *words) == b"OK")

    def hmget(self, key: str, names: list[str]) -> Any:
        """Read fields of a hash."""
        return self.ask(
            f"HMGET {key}", lambda: [self._server.do(b"HGET", key, name) or None for name in names]
        )

    def zrange(self, key: str, _first: int, last: int) -> Any:
        """Read the first members of a sorted set."""
        return self.ask(f"ZRANGE {key}", lambda: self._server.do(b"ZRANGE", key, last))

    def pipeline(self) -> "SimPipeline":
        """Ask several things at once."""
        return SimPipeline(self, self._server)


class SimPipeline:
    """Commands that go and come together."""

    def __init__(self, client: SimRedis, server: SimRedisServer) -> None:
        self._client, self._server = client, server
        self._commands: list[Callable[[], Any]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def get(self, key: str) -> None:
        """Read a string."""
        self._commands.append(lambda: self._server.do(b"GET", key) or None)

    def pttl(self, key: str) -> None:
        """Read how long a key still lives."""
        self._commands.append(lambda: self._server.do(b"PTTL", key))

    def time(self) -> None:
        """Read the server's clock: seconds, microseconds."""
        self._commands.append(lambda: tuple(map(int, self._server.do(b"TIME"))))

    def hmget(self, key: str, names: list[str]) -> None:
        """Read fields of a hash."""
        self._commands.append(lambda: [self._server.do(b"HGET", key, name) or None for name in names])

    def zrange(self, key: str, _first: int, _last: int, *, withscores: bool) -> None:
        """Read a sorted set whole, with its scores."""
        assert withscores
        self._commands.append(lambda: sorted((self._server.peek(key.encode()) or {}).items()))

    def execute(self) -> list[Any]:
        """Do them."""
        return list(self._client.ask("pipeline", lambda: [command() for command in self._commands]))
