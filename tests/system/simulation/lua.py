"""Redis's scripts, run by the Lua that Redis has."""

from collections.abc import Callable, Sequence
from functools import cache
from hashlib import sha1
from typing import Any

from lupa.lua51 import LuaRuntime, lua_type

_lua = LuaRuntime(encoding=None)
_redis = _lua.table()
_lua.globals()[b"redis"] = _redis
_run = _lua.execute(
    b"""return function(script, count, ...)
      local keys, arguments = {}, {}
      for place = 1, select('#', ...) do
        if place <= count then keys[place] = (select(place, ...))
        else arguments[place - count] = (select(place, ...)) end
      end
      return script(keys, arguments)
    end"""
)


@cache
def sha_of(script: str) -> str:
    """Name a script as Redis does."""
    return sha1(script.encode()).hexdigest()  # noqa: S324 - Redis's own choice


@cache
def compiled(script: str) -> Any:
    """Make a function of KEYS and ARGV of a script's text."""
    return _lua.execute(b"return function(KEYS, ARGV) " + script.encode() + b"\nend")


def as_call(do: Callable[..., Any]) -> Callable[..., Any]:
    """Make of what does a command the `redis.call` of scripts."""

    def call(*asked: Any) -> Any:
        answer = do(*asked)
        return _lua.table_from(answer) if isinstance(answer, list | dict) else answer

    return call


def run(script: Any, call: Callable[..., Any], count: int, words: Sequence[bytes]) -> Any:
    """Run a compiled script on `count` keys and the rest as arguments."""
    _redis[b"call"] = call
    answer = _run(script, count, *words)
    return list(answer.values()) if lua_type(answer) == "table" else answer


def as_bytes(word: Any) -> bytes:
    """Write a word of a command as a client or a script sends it."""
    if isinstance(word, bytes):
        return word
    if isinstance(word, float):
        return b"%.14g" % word
    return str(word).encode()
