"""A simulated Redis: the commands that the house uses, and its Lua scripts run by a real Lua.

What a process sees of it can be refused, or done with the reply lost. Expiry follows virtual time.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from lupa.lua51 import LuaRuntime
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError
from redis.exceptions import TimeoutError as RedisTimeoutError

from tests.simulation.world import World

_lua = LuaRuntime(encoding=None)
_compiled: dict[str, Any] = {}


class SimRedisServer:
    """The data, shared by all. `watch` is told of each change to a key: key, before, after, arguments."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.data: dict[bytes, Any] = {}
        self.expires: dict[bytes, float] = {}
        self.scripts: set[str] = set()
        self.down_until = 0.0
        self.watch: Callable[[bytes, Any, Any, Sequence[bytes]], None] = lambda *_change: None
        self.arguments: Sequence[bytes] = ()

    def wipe(self) -> None:
        """Come back empty."""
        for key in list(self.data):
            self._drop(key)
        self.scripts.clear()

    def evict(self, key: bytes) -> None:
        """Lose one key, as memory pressure or a careless hand does."""
        if key in self.data:
            self._drop(key)

    def _drop(self, key: bytes) -> None:
        self.watch(key, self.data.pop(key), None, (b"evicted",))
        self.expires.pop(key, None)

    def _live(self, key: bytes) -> Any:
        if self.expires.get(key, float("inf")) <= self.world.now:
            self.data.pop(key, None)
            self.expires.pop(key, None)
        return self.data.get(key)

    def call(self, command: bytes, *words: Any) -> Any:
        """Do one command as a script calls it."""
        key, *rest = (_bytes(word) for word in words) if words else (b"",)
        return getattr(self, f"_{command.decode().lower()}")(key, *rest)

    def _get(self, key: bytes) -> Any:
        value = self._live(key)
        return False if value is None else value

    def _pttl(self, key: bytes) -> int:
        if self._live(key) is None:
            return -2
        return round((self.expires[key] - self.world.now) * 1000) if key in self.expires else -1

    def _set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        before = self._live(key)
        if b"NX" in options and before is not None:
            return False
        self.watch(key, before, value, self.arguments)
        self.data[key] = value
        self.expires.pop(key, None)
        if b"PX" in options:
            self.expires[key] = self.world.now + int(options[options.index(b"PX") + 1]) / 1000
        return b"OK"

    def _del(self, key: bytes) -> int:
        before = self._live(key)
        if before is None:
            return 0
        self.watch(key, before, None, self.arguments)
        del self.data[key]
        self.expires.pop(key, None)
        return 1

    def _hget(self, key: bytes, name: bytes) -> Any:
        return (self._live(key) or {}).get(name, False)

    def _hset(self, key: bytes, *pairs: bytes) -> int:
        before = self._live(key) or {}
        after = before | dict(zip(pairs[::2], pairs[1::2], strict=True))
        self.watch(key, before, after, self.arguments)
        self.data[key] = after
        return 1

    def _time(self, *_nothing: bytes) -> list[bytes]:
        return [b"%d" % int(self.world.now), b"0"]

    def _zadd(self, key: bytes, score: bytes, member: bytes) -> int:
        self.data[key] = (self._live(key) or {}) | {member: float(score)}
        return 1

    def _zremrangebyscore(self, key: bytes, _least: bytes, most: bytes) -> int:
        kept = {name: at for name, at in (self._live(key) or {}).items() if at > float(most)}
        self.data[key] = kept
        return 0

    def _expire(self, key: bytes, seconds: bytes) -> int:
        self.expires[key] = self.world.now + int(seconds)
        return 1


def _bytes(word: Any) -> bytes:
    if isinstance(word, bytes):
        return word
    if isinstance(word, float):
        return b"%.14g" % word
    return str(word).encode()


_current: list[SimRedisServer] = []


def _call(command: bytes, *words: Any) -> Any:
    answer = _current[-1].call(command, *words)
    return _lua.table_from(answer) if isinstance(answer, list) else answer


_lua.globals()[b"redis"] = _lua.table_from({b"call": _call})


class SimRedis:
    """One process's client of the simulated server."""

    def __init__(self, server: SimRedisServer) -> None:
        self._server = server
        self._world = server.world

    def _ask(self, where: str, act: Callable[[], Any]) -> Any:
        self._world.befall(f"redis {where}, before")
        if self._server.down_until > self._world.now or self._world.fails(self._world.odds.refused):
            self._world.process().faults += 1
            raise RedisConnectionError("refused")
        answer = act()
        self._world.befall(f"redis {where}, after")
        if self._world.fails(self._world.odds.reply_lost):
            raise RedisTimeoutError("the reply was lost")
        return answer

    def script_load(self, text: str) -> str:
        """Make a script known until the server comes back empty."""
        sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        if sha not in _compiled:
            _compiled[sha] = _lua.execute(b"return function(KEYS, ARGV) " + text.encode() + b" end")
        return str(self._ask("SCRIPT LOAD", lambda: self._server.scripts.add(sha) or sha))

    def evalsha(self, sha: str, count: int, *words: Any) -> Any:
        """Run a script that is known on the first `count` words as keys and the rest as arguments."""
        keys, arguments = ([_bytes(word) for word in part] for part in (words[:count], words[count:]))

        def act() -> Any:
            if sha not in self._server.scripts:
                raise NoScriptError("NOSCRIPT No matching script")
            _current.append(self._server)
            self._server.arguments = arguments
            try:
                answer = _compiled[sha](_lua.table_from(keys), _lua.table_from(arguments))
            finally:
                _current.pop()
                self._server.arguments = ()
            return list(answer.values()) if hasattr(answer, "values") else answer

        return self._ask("script", act)

    def get(self, key: str) -> Any:
        """Read a string."""
        return self._ask(f"GET {key}", lambda: self._server.call(b"GET", key) or None)

    def set(self, key: str, value: Any, px: Any = None) -> Any:
        """Write a string."""
        words = [key, value]
        if px is not None:
            words += [b"PX", px if isinstance(px, int) else int(px.total_seconds() * 1000)]
        return self._ask(f"SET {key}", lambda: self._server.call(b"SET", *words))

    def delete(self, key: str) -> Any:
        """Delete a key."""
        return self._ask(f"DEL {key}", lambda: self._server.call(b"DEL", key))

    def pipeline(self) -> "SimPipeline":
        """Ask several things at once."""
        return SimPipeline(self)


class SimPipeline:
    """Commands that go and come together."""

    def __init__(self, client: SimRedis) -> None:
        self._client = client
        self._commands: list[Callable[[], Any]] = []

    def __enter__(self) -> "SimPipeline":
        return self

    def __exit__(self, *_error: object) -> None:
        pass

    def get(self, key: str) -> None:
        """Read a string."""
        self._commands.append(lambda: self._client._server.call(b"GET", key) or None)

    def pttl(self, key: str) -> None:
        """Read how long a key still lives."""
        self._commands.append(lambda: self._client._server.call(b"PTTL", key))

    def execute(self) -> list[Any]:
        """Do them."""
        return self._client._ask("pipeline", lambda: [command() for command in self._commands])
