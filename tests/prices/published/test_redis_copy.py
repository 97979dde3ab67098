"""The published catalogue: an older one never replaces a later one, and garbage is survived."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from prices.errors import RedisUnavailableError
from prices.formats.registry import FORMATS
from prices.published import make, redis_copy
from prices.published.bodies import AHEAD, Publication, Stamp
from prices.published.make import make_publication, publish_current
from prices.published.packing import pack
from prices.published.redis_copy import confirm, publish, read_publication, read_stamp
from prices.runtime.redis_client import Keys
from prices.services import Services
from tests.support.ledger import fill
from tests.support.lists import model

NOON = datetime(2026, 8, 6, 12, 0, 0, 123457, tzinfo=UTC)
KEYS = Keys(deployment="test")
SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
ONE = Decimal(1)


def made(revision: int) -> Publication:
    formats = {form.path: pack(b"{}") for form in FORMATS}
    return Publication(revision, pack(b"models %d" % revision), pack(b"prices"), formats)


def revision_there(redis: Redis, keys: Keys = KEYS) -> int | None:
    read = read_publication(redis, keys)
    return read and read[1].revision


def test_what_is_published_is_read_back(redis: Redis) -> None:
    assert (read_stamp(redis, KEYS), read_publication(redis, KEYS)) == (None, None)
    assert publish(redis, KEYS, Stamp("one", NOON), made(1))
    assert read_stamp(redis, KEYS) == Stamp("one", NOON)
    assert read_publication(redis, KEYS) == (Stamp("one", NOON), made(1))


def test_an_older_publication_never_replaces_a_later_one(redis: Redis) -> None:
    publish(redis, KEYS, Stamp("two", NOON), made(2))
    assert not publish(redis, KEYS, Stamp("one", NOON - timedelta(microseconds=1)), made(1))
    assert not publish(redis, KEYS, Stamp("none", None), made(0))
    assert revision_there(redis) == 2
    assert publish(redis, KEYS, Stamp("three", NOON + timedelta(microseconds=1)), made(3))
    assert revision_there(redis) == 3


def test_the_empty_catalogue_is_replaced_by_the_first_prices(redis: Redis) -> None:
    assert publish(redis, KEYS, Stamp("none", None), made(0))
    assert read_stamp(redis, KEYS) == Stamp("none", None)
    assert publish(redis, KEYS, Stamp("one", NOON), made(1))


def test_the_same_time_in_another_content_replaces(redis: Redis) -> None:
    publish(redis, KEYS, Stamp("markup 1", NOON), made(1))
    assert publish(redis, KEYS, Stamp("markup 2", NOON), made(1))
    assert read_stamp(redis, KEYS) == Stamp("markup 2", NOON)


def test_confirming_moves_the_time_forward_only_and_knows_another_content(redis: Redis) -> None:
    assert not confirm(redis, KEYS, Stamp("one", NOON), 1, SECOND)
    publish(redis, KEYS, Stamp("one", NOON), made(1))
    assert confirm(redis, KEYS, Stamp("one", NOON + SECOND), 1, SECOND)
    assert read_stamp(redis, KEYS) == Stamp("one", NOON + SECOND)
    assert confirm(redis, KEYS, Stamp("one", NOON), 1, SECOND)
    assert read_stamp(redis, KEYS) == Stamp("one", NOON + SECOND)
    assert not confirm(redis, KEYS, Stamp("two", NOON + 2 * SECOND), 2, SECOND)
    assert read_stamp(redis, KEYS) == Stamp("one", NOON + SECOND)
    assert revision_there(redis) == 1


@given(st.timedeltas(timedelta(0), timedelta(days=27_000)).map(lambda later: NOON + later))
def test_a_time_survives_redis_to_the_microsecond(at: datetime) -> None:
    stamp = Stamp("x", at)
    assert redis_copy._stamp(b"x", str(redis_copy._microseconds(stamp)).encode(), None, None) == stamp


def test_the_same_bytes_have_the_same_validator_and_others_another() -> None:
    assert pack(b"x" * 5000) == pack(b"x" * 5000)
    assert pack(b"x").etag != pack(b"y").etag
    assert gzip.decompress(pack(b"x" * 5000).gzip) == b"x" * 5000


GARBAGE: dict[str, dict[str, Any]] = {
    "a time that is no number": {"refreshed_us": "soon"},
    "a time that is empty": {"refreshed_us": ""},
    "a time beyond all calendars": {"refreshed_us": "9" * 30},
    "a time that is no text": {"refreshed_us": b"\xff"},
    "a run that is no number": {"run": "the last"},
    "a content that is no text": {"content": b"\xff\xfe"},
    "a publication that is no message": {"publication": b"\xc1garbage"},
    "a publication of another shape": {"publication": msgspec.msgpack.encode({"revision": "x"})},
}
ONE_FORMAT_LESS = msgspec.structs.replace(made(1), formats=dict(list(made(1).formats.items())[1:]))
GARBAGE["a publication without a format"] = {"publication": msgspec.msgpack.encode(ONE_FORMAT_LESS)}
MISSING = ("refreshed_us", "content", "publication")


@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_redis_is_no_publication_and_no_crash(what: str, redis: Redis) -> None:
    publish(redis, KEYS, Stamp("one", NOON), made(1))
    redis.hset(KEYS.snapshot, mapping=GARBAGE[what])
    assert read_publication(redis, KEYS) is None
    read_stamp(redis, KEYS)


@pytest.mark.parametrize("name", MISSING)
def test_a_publication_with_a_part_missing_is_none(name: str, redis: Redis) -> None:
    publish(redis, KEYS, Stamp("one", NOON), made(1))
    redis.hdel(KEYS.snapshot, name)
    assert read_publication(redis, KEYS) is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", [*GARBAGE, *(f"without {name}" for name in MISSING)])
def test_garbage_in_redis_is_replaced_by_the_catalogue(what: str, stores: Services) -> None:
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    if what in GARBAGE:
        stores.redis.hset(stores.keys.snapshot, mapping={"content": "other"} | GARBAGE[what])
    else:
        stores.redis.hdel(stores.keys.snapshot, what.removeprefix("without "))
    fill(stores.engine, model("a/one"), model("a/two"))
    publish_current(stores)
    assert revision_there(stores.redis, stores.keys) == 2


def test_another_kind_of_key_is_an_error_of_redis_and_no_crash(redis: Redis) -> None:
    redis.set(KEYS.snapshot, "x")
    for act in (read_stamp, read_publication):
        with pytest.raises(RedisUnavailableError):
            act(redis, KEYS)


def test_the_catalogue_is_published_once_and_then_only_confirmed(
    stores: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    monkeypatch.setattr(make, "make_publication", lambda *_: pytest.fail("made again"))
    before = read_stamp(stores.redis, stores.keys)
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    after = read_stamp(stores.redis, stores.keys)
    assert before is not None
    assert after is not None
    assert after.content == before.content
    assert after.refreshed_at > before.refreshed_at  # type: ignore[operator]


def test_what_a_paused_holder_made_is_not_published_over_the_present(stores: Services) -> None:
    fill(stores.engine, model("a/old"))
    old = make_publication(stores.engine, ONE)
    fill(stores.engine, model("a/new"))
    publish_current(stores)
    assert not publish(stores.redis, stores.keys, *old)
    assert revision_there(stores.redis, stores.keys) == 2


def test_another_markup_is_another_content(stores: Services) -> None:
    fill(stores.engine, model("a/one", prompt="0.000002"))
    stamps = [make_publication(stores.engine, Decimal(markup))[0] for markup in ("1", "1.5", "1")]
    assert stamps[0] == stamps[2] != stamps[1]


def test_a_catalogue_whose_clock_was_set_back_is_published_all_the_same(stores: Services) -> None:
    fill(stores.engine, model("a/one"))
    publish(
        stores.redis,
        stores.keys,
        Stamp("from a clock ahead", datetime.now(UTC) + timedelta(days=300)),
        made(1),
    )
    fill(stores.engine, model("a/one"), model("a/two"))
    publish_current(stores)
    assert revision_there(stores.redis, stores.keys) == 2


# Clocks that were wrong


def test_a_confirmation_takes_the_place_of_a_time_from_a_clock_that_was_ahead(stores: Services) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    publish(stores.redis, stores.keys, Stamp("same", now + timedelta(days=300)), made(1))
    assert confirm(stores.redis, stores.keys, Stamp("same", now), 1, timedelta(0))
    assert read_stamp(stores.redis, stores.keys) == Stamp("same", now)


def test_a_copy_in_memory_from_a_clock_that_was_ahead_is_not_put_back(stores: Services) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    publish(stores.redis, stores.keys, Stamp("right", now), made(2))
    redis_copy.refill(stores.redis, stores.keys, Stamp("ahead", now + timedelta(days=300)), made(1))
    assert read_stamp(stores.redis, stores.keys) == Stamp("right", now)


def test_what_the_database_says_is_published_though_its_clock_is_ahead(stores: Services) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    publish(stores.redis, stores.keys, Stamp("before", now), made(1))
    for days in (300, 299):
        stamp = Stamp(f"in {days} days", now + timedelta(days=days))
        assert publish(stores.redis, stores.keys, stamp, made(2))
        assert read_stamp(stores.redis, stores.keys) == stamp


@pytest.mark.parametrize(
    ("ahead", "is_later"), [(-1, True), (AHEAD / HOUR, True), (AHEAD / HOUR + 0.01, False)]
)
def test_a_time_well_ahead_is_no_later_time(ahead: float, is_later: bool) -> None:
    now = datetime(2026, 8, 6, 12, tzinfo=UTC)
    one, other = Stamp("one", now + ahead * HOUR), Stamp("other", now - 2 * HOUR)
    assert one.is_later_than(other, now) is is_later
    assert one.is_later_than(Stamp("empty", None), now) is is_later
    assert not Stamp("empty", None).is_later_than(other, now)


# A database's clock that was set back by less than what counts as well ahead


def set_back(run: int, minutes: float) -> Stamp:
    """The stamp of a run, told by a clock that is so many minutes behind the right one."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Stamp(f"run {run}", now - timedelta(minutes=minutes), run)


def test_a_later_run_is_published_though_the_databases_clock_was_set_back(redis: Redis) -> None:
    before, after = set_back(7, 0), set_back(8, 40)
    publish(redis, KEYS, before, made(1))
    assert publish(redis, KEYS, after, made(2))
    assert read_publication(redis, KEYS) == (after, made(2))


def test_a_later_run_confirms_though_the_databases_clock_was_set_back(redis: Redis) -> None:
    before, after = set_back(7, 0), Stamp("run 7", set_back(8, 40).refreshed_at, 8)
    publish(redis, KEYS, before, made(1))
    assert confirm(redis, KEYS, after, 1, SECOND)
    assert read_stamp(redis, KEYS) == after
    assert confirm(redis, KEYS, before, 1, SECOND)


def test_a_copy_in_memory_from_before_the_clock_was_set_back_is_not_put_back(redis: Redis) -> None:
    before, after = set_back(7, 0), set_back(8, 40)
    publish(redis, KEYS, after, made(2))
    redis_copy.refill(redis, KEYS, before, made(1))
    assert read_publication(redis, KEYS) == (after, made(2))


def test_of_two_runs_that_a_clock_set_back_parts_the_second_is_the_later() -> None:
    now = datetime.now(UTC)
    before, after = set_back(7, 0), set_back(8, 40)
    assert not before.is_later_than(after, now)
    assert before.is_later_than(Stamp("of an unknown run", after.refreshed_at), now)
    assert Stamp("of an unknown run", before.refreshed_at).is_later_than(after, now)


def test_an_earlier_run_with_an_earlier_time_never_replaces_a_later_one(redis: Redis) -> None:
    publish(redis, KEYS, set_back(8, 0), made(2))
    assert not publish(redis, KEYS, set_back(7, 40), made(1))
    assert revision_there(redis) == 2


def test_a_database_that_was_restored_is_published_though_its_runs_are_numbered_anew(redis: Redis) -> None:
    publish(redis, KEYS, set_back(8, 40), made(2))
    assert publish(redis, KEYS, set_back(7, 0), made(1))
    assert revision_there(redis) == 1


def test_a_publication_that_names_no_run_is_judged_by_its_time(redis: Redis) -> None:
    publish(redis, KEYS, Stamp("of another release", set_back(0, 10).refreshed_at), made(1))
    redis.hdel(KEYS.snapshot, "run")
    assert read_stamp(redis, KEYS) == Stamp("of another release", set_back(0, 10).refreshed_at)
    assert not publish(redis, KEYS, set_back(8, 40), made(2))
    assert publish(redis, KEYS, set_back(8, 5), made(2))


def test_what_is_published_names_the_run_that_confirmed_it(stores: Services) -> None:
    for run in (1, 2):
        fill(stores.engine, model("a/one"))
        publish_current(stores)
        stamp = read_stamp(stores.redis, stores.keys)
        assert stamp is not None
        assert stamp.run == run
