"""The published catalogue in Redis, where every web instance reads it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec
from redis import Redis

from prices.errors import in_full
from prices.formats.registry import FORMATS
from prices.published.bodies import AHEAD, Publication, Stamp
from prices.runtime.logs import log
from prices.runtime.lua import LuaScript
from prices.runtime.redis_client import Keys, redis_errors

REFILL_SECONDS: Final = 5
"""How long who refills Redis keeps others from doing the same."""


# The mark that the prices are fresh goes with every word on when they were confirmed: `fresh_ms` is
# how long they still are, 0 not at all, empty unknown to the speaker.
_MARK: Final = """
local function mark(fresh_ms, revision)
  if fresh_ms == '' then return end
  if tonumber(fresh_ms) > 0 then redis.call('SET', KEYS[2], revision, 'PX', fresh_ms)
  else redis.call('DEL', KEYS[2]) end
end
"""
_AHEAD: Final = f"""
local ahead = (redis.call('TIME')[1] + {int(AHEAD.total_seconds())}) * 1000000
"""
# Whether one run came before another, 0 being unknown. Where the times say the opposite, the database's clock
# was set back between the two.
_CAME_BEFORE: Final = """
local run_there = tonumber(redis.call('HGET', KEYS[1], 'run') or '') or 0
local function came_before(run, other) return run > 0 and run < other end
"""
# A publication never replaces a later one: a holder that was paused wakes up with an old one. A time well
# ahead of Redis's clock is no later publication but a clock that was wrong: any other replaces it. So does
# that of a later run. A copy in memory (ARGV[6] is 1) that bears such a time is not put back.
_PUBLISH: Final = LuaScript(f"""{_MARK}{_AHEAD}{_CAME_BEFORE}
local there, at, run = tonumber(redis.call('HGET', KEYS[1], 'refreshed_us') or ''), ARGV[1] + 0, ARGV[7] + 0
local stale = there and there <= ahead and there > at and not came_before(run_there, run)
if ARGV[9] ~= '' and redis.call('HGET', KEYS[1], 'commit') == ARGV[9] then stale = false end
if stale or ARGV[6] == '1' and (at > ahead or came_before(run, run_there)) then
  mark(ARGV[3] == '' and '' or '0', ARGV[4])
  return 0
end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1],
  'refreshed_us', ARGV[1], 'run', ARGV[7], 'content', ARGV[2], 'publication', ARGV[5], 'commit', ARGV[8])
mark(ARGV[3], ARGV[4])
return 1
""")
# The same content, confirmed later: only the time moves, and the commit that is expected there (ARGV[7]).
_CONFIRM: Final = LuaScript(f"""{_MARK}{_AHEAD}{_CAME_BEFORE}
if redis.call('HGET', KEYS[1], 'content') ~= ARGV[2] then return 0 end
if redis.call('HGET', KEYS[1], 'commit') ~= ARGV[7] then return 0 end
local there = tonumber(redis.call('HGET', KEYS[1], 'refreshed_us') or '')
local is_news = not there or there < tonumber(ARGV[1]) or there > ahead
if is_news or came_before(run_there, tonumber(ARGV[5])) then
  redis.call('HSET', KEYS[1], 'refreshed_us', ARGV[1], 'run', ARGV[5], 'commit', ARGV[6])
end
mark(ARGV[3], ARGV[4])
return 1
""")


def confirm(
    redis: Redis,
    keys: Keys,
    stamp: Stamp,
    revision: int,
    fresh: timedelta,
    *,
    instead_of: str | None = None,
) -> bool:
    """Tell Redis that its content was confirmed, and is fresh so long; False when it holds another.

    Redis must hold the commit `instead_of`, the stamp's own unless another is given.
    """
    expected = stamp.commit if instead_of is None else instead_of
    mark = (_milliseconds(fresh), revision)
    arguments = (_microseconds(stamp), stamp.content, *mark, stamp.run, stamp.commit, expected)
    return bool(_CONFIRM(redis, (keys.snapshot, keys.fresh), arguments))


def publish(
    redis: Redis,
    keys: Keys,
    stamp: Stamp,
    publication: Publication,
    fresh: timedelta | None = None,
    *,
    from_memory: bool = False,
    instead_of: str = "",
) -> bool:
    """Put a publication in the place of an older one, in one step; False when a later one is there.

    `fresh` is how long the prices still need no refresh, None where the caller does not know. One that is
    `from_memory`, and was not just read from the database, must bear neither a time well ahead nor an earlier
    run than the one that is there. Anything takes the place of the commit `instead_of`, which the database
    does not know.
    """
    packed = msgspec.msgpack.encode(publication)
    fresh_ms = "" if fresh is None else _milliseconds(fresh)
    content = (stamp.content, fresh_ms, publication.revision, packed)
    arguments = (_microseconds(stamp), *content, int(from_memory), stamp.run, stamp.commit, instead_of)
    return bool(_PUBLISH(redis, (keys.snapshot, keys.fresh), arguments))


def refill(redis: Redis, keys: Keys, stamp: Stamp, publication: Publication, *, instead_of: str = "") -> None:
    """Publish what Redis has lost. Of many who see that at once, one does; `instead_of` as for `publish`."""
    with redis_errors():
        is_ours = redis.set(keys.refill, b"", nx=True, px=REFILL_SECONDS * 1000)
    if is_ours:
        memory = not instead_of
        publish(redis, keys, stamp, publication, from_memory=memory, instead_of=instead_of)


def read_stamp(redis: Redis, keys: Keys) -> Stamp | None:
    """Ask Redis which content it holds."""
    with redis_errors():
        content, refreshed_us, *rest = _bytes(redis.hmget(keys.snapshot, _FIELDS))
    try:
        return None if content is None or refreshed_us is None else _stamp(content, refreshed_us, *rest)
    except (ValueError, OverflowError, OSError) as error:
        log.warning("What Redis holds is no publication", reason=in_full(error))
        return None


def read_publication(redis: Redis, keys: Keys) -> tuple[Stamp, Publication] | None:
    """Read the published catalogue, as one step."""
    with redis_errors():
        content, refreshed_us, *rest, packed = _bytes(redis.hmget(keys.snapshot, [*_FIELDS, "publication"]))
    if content is None or refreshed_us is None or packed is None:
        return None
    try:
        return _stamp(content, refreshed_us, *rest), _unpacked(packed)
    except (msgspec.MsgspecError, ValueError, OverflowError, OSError) as error:
        log.warning("What Redis holds is no publication", reason=in_full(error))
        return None


def _unpacked(packed: bytes) -> Publication:
    """Read a publication. Raises ValueError for that of an earlier release, which lacks a format of ours."""
    published = msgspec.msgpack.decode(packed, type=Publication)
    if missing := {form.path for form in FORMATS} - published.formats.keys():
        raise ValueError(f"it does not have {', '.join(sorted(missing))}")
    return published


def _bytes(values: Any) -> list[bytes | None]:
    """Say what the client's types cannot: without `decode_responses` it gives bytes."""
    return cast("list[bytes | None]", values)


def _milliseconds(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)


def _microseconds(stamp: Stamp) -> int:
    return 0 if stamp.refreshed_at is None else round(stamp.refreshed_at.timestamp() * 1_000_000)


_FIELDS: Final = ["content", "refreshed_us", "run", "commit"]


def _stamp(content: bytes, refreshed_us: bytes, run: bytes | None, commit: bytes | None) -> Stamp:
    microseconds = int(refreshed_us)
    at = datetime.fromtimestamp(microseconds / 1_000_000, UTC) if microseconds else None
    return Stamp(content.decode(), at, int(run or 0), (commit or b"").decode())
