"""Lua scripts: several commands as one step for every other client, in one round trip."""

import hashlib
from typing import Any

from redis import Redis
from redis.exceptions import NoScriptError

from prices.runtime.redis_client import redis_errors


class LuaScript:
    """A script that Redis knows by its SHA-1: one EVALSHA a call, and the text only where it is missing.

    redis-py's own `Script` does the same, and costs a refused claim a tenth of its time.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def __call__(self, redis: Redis, keys: tuple[str, ...], arguments: tuple[str | int | bytes, ...]) -> Any:
        """Run it; give Redis's answer, in bytes and integers. Raises RedisUnavailableError.

        A script that Redis does not know did nothing: sending it again is not a blind retry.
        """
        with redis_errors():
            try:
                return redis.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                redis.script_load(self._text)
                return redis.evalsha(self._sha, len(keys), *keys, *arguments)
