"""A simulated Redis: the commands that the house uses, in virtual time. Its client stands in client.py."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.system.simulation import lua
from tests.system.simulation.world import World

EVICTED = (b"evicted",)
Watch = Callable[[bytes, Any, Any, Sequence[bytes]], None]
"""Told of each change to a key: key, before, after, and the arguments of the script that did it."""


class SimRedisServer:
    """The data, shared by all processes of a world."""

    def __init__(self, world: World, watch: Watch) -> None:
        self.world, self._watch = world, watch
        self.data: dict[bytes, Any] = {}
        self.expires: dict[bytes, float] = {}
        self.down_until = 0.0
        self._scripts: dict[str, Any] = {}
        self._arguments: Sequence[bytes] = ()
        self._call = lua.as_call(self.do)
        self._commands: dict[bytes, Callable[..., Any]] = {
            b"GET": self._get,
            b"PTTL": self._pttl,
            b"SET": self._set,
            b"DEL": self._del,
            b"HGET": self._hget,
            b"HSET": self._hset,
            b"TIME": self._time,
            b"ZADD": self._zadd,
            b"ZREMRANGEBYSCORE": self._zremrangebyscore,
            b"ZRANGE": self._zrange,
            b"EXPIRE": self._expire,
            b"PEXPIRE": self._pexpire,
            b"TYPE": self._type,
        }

    @property
    def is_down(self) -> bool:
        """Whether nobody reaches it."""
        return self.down_until > self.world.now

    def wipe(self) -> None:
        """Come back empty, without the scripts too."""
        for key in list(self.data):
            self.evict(key)
        self._scripts.clear()

    def evict(self, key: bytes) -> None:
        """Lose one key, as memory pressure or a careless hand does."""
        if self.peek(key) is not None:
            self._watch(key, self.data.pop(key), None, EVICTED)
            self.expires.pop(key, None)

    def peek(self, key: bytes) -> Any:
        """Look at a key from outside the world; None where it is gone."""
        if key in self.expires and self.expires[key] <= self.world.now:
            self.data.pop(key, None)
            del self.expires[key]
        return self.data.get(key)

    def load(self, script: str) -> str:
        """Keep a script until the server comes back empty."""
        self._scripts[lua.sha_of(script)] = lua.compiled(script)
        return lua.sha_of(script)

    def knows(self, sha: str) -> bool:
        """Whether a script is loaded."""
        return sha in self._scripts

    def run(self, sha: str, count: int, words: Sequence[bytes]) -> Any:
        """Run a loaded script with so many keys and the rest as arguments, as one step."""
        self._arguments = words[count:]
        try:
            return lua.run(self._scripts[sha], self._call, count, words)
        finally:
            self._arguments = ()

    def do(self, command: bytes, *words: Any) -> Any:
        """Do one command. What is not there is False, as for a script."""
        return self._commands[command](*map(lua.as_bytes, words))

    def _get(self, key: bytes) -> Any:
        value = self.peek(key)
        return False if value is None else value

    def _pttl(self, key: bytes) -> int:
        if self.peek(key) is None:
            return -2
        return round((self.expires[key] - self.world.now) * 1000) if key in self.expires else -1

    def _set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        before = self.peek(key)
        if b"NX" in options and before is not None:
            return False
        self._watch(key, before, value, self._arguments)
        self.data[key] = value
        self.expires.pop(key, None)
        if b"PX" in options:
            self.expires[key] = self.world.now + int(options[options.index(b"PX") + 1]) / 1000
        return b"OK"

    def _del(self, key: bytes) -> int:
        before = self.peek(key)
        if before is None:
            return 0
        self._watch(key, before, None, self._arguments)
        del self.data[key]
        self.expires.pop(key, None)
        return 1

    def _hget(self, key: bytes, name: bytes) -> Any:
        return (self.peek(key) or {}).get(name, False)

    def _hset(self, key: bytes, *pairs: bytes) -> int:
        before = self.peek(key) or {}
        after = before | dict(zip(pairs[::2], pairs[1::2], strict=True))
        self._watch(key, before, after, self._arguments)
        self.data[key] = after
        return 1

    def _time(self) -> list[bytes]:
        seconds, microseconds = divmod(round(self.world.now * 1_000_000), 1_000_000)
        return [b"%d" % seconds, b"%d" % microseconds]

    def _zadd(self, key: bytes, score: bytes, member: bytes) -> int:
        self.data[key] = (self.peek(key) or {}) | {member: float(score)}
        return 1

    def _zrange(self, key: bytes, last: bytes) -> list[bytes]:
        members = self.peek(key) or {}
        return sorted(members, key=lambda member: (members[member], member))[: int(last) + 1]

    def _zremrangebyscore(self, key: bytes, _least: bytes, most: bytes) -> int:
        kept = {name: at for name, at in (self.peek(key) or {}).items() if at > float(most)}
        self.data[key] = kept
        return 0

    def _expire(self, key: bytes, seconds: bytes) -> int:
        self.expires[key] = self.world.now + int(seconds)
        return 1

    def _pexpire(self, key: bytes, milliseconds: bytes) -> int:
        self.expires[key] = self.world.now + int(milliseconds) / 1000
        return 1

    def _type(self, key: bytes) -> dict[bytes, bytes]:
        value = self.peek(key)
        return {b"ok": b"none" if value is None else b"hash" if isinstance(value, dict) else b"string"}
