"""The received body, kept in both stores until it is committed: to lose it costs a fetch, never a run."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import zstandard
from redis import Redis
from sqlalchemy import Engine, insert, select, text, update

from prices.errors import DatabaseUnavailableError, PricesError
from prices.refresh.receive import take_given
from prices.refresh.stash import Stash, StashedBody
from prices.runtime.redis_client import PAYLOAD_KEY, Keys
from prices.store.database import make_engine, reading, utc_now, writing
from prices.store.queries import CatalogueState
from prices.store.tables import received_bodies
from prices.upstream.received import Receipt, Received
from tests.conftest import migrate

SOURCE = "https://openrouter.ai/api/v1"
BODY = b'{"data":[1,2,3]}' * 100
KEYS = Keys(deployment="ours")
LIFETIME = timedelta(minutes=162)
MINUTE = timedelta(minutes=1)
NOWHERE = "postgresql+psycopg://u:p@127.0.0.1:1/db"


@pytest.fixture(params=["redis", "database", "both"])
def stash(request: pytest.FixtureRequest, redis: Redis, engine: Engine, tmp_path: Path) -> Iterator[Stash]:
    """A stash on either store alone, or on both."""
    migrate(url := f"sqlite:///{tmp_path}/keeps-nothing.sqlite3")
    keeps_nothing = make_engine(url)
    with writing(keeps_nothing) as connection:
        connection.execute(
            text("CREATE TRIGGER lose BEFORE INSERT ON received_bodies BEGIN SELECT raise(IGNORE); END")
        )
    yield {
        "redis": Stash(redis, keeps_nothing, SOURCE, LIFETIME, keys=KEYS),
        "database": Stash(None, engine, SOURCE, LIFETIME, keys=KEYS),
        "both": Stash(redis, engine, SOURCE, LIFETIME, keys=KEYS),
    }[request.param]
    keeps_nothing.dispose()


@pytest.fixture
def both(redis: Redis, engine: Engine) -> Stash:
    return Stash(redis, engine, SOURCE, LIFETIME, keys=KEYS)


def after(run_id: int) -> CatalogueState:
    """The catalogue's state after the commit of a run, 0 before the first."""
    return CatalogueState(
        run_id,
        None,
        run_id or None,
        {},
        None,
        None,
        is_holding=False,
        now=datetime.now(UTC),
        deployment="test",
    )


def body_after(stash: Stash, run_id: int) -> bytes | None:
    found = stash.get(after(run_id))
    assert not isinstance(found, Receipt)
    return found and found.body


def age_after(engine: Engine, stash: Stash, run_id: int) -> timedelta:
    """How long ago the body was received, by the database's clock."""
    found = stash.get(after(run_id))
    assert isinstance(found, Received)
    assert found.at is not None
    assert (found.body, found.fetch_seconds) == (BODY, 0.0)
    with reading(engine) as connection:
        return utc_now(connection) - found.at


def age_in_database(engine: Engine, by: timedelta) -> None:
    with writing(engine) as connection:
        connection.execute(update(received_bodies).values(received_at=utc_now(connection) - by))


def age_in_redis(redis: Redis, by: timedelta) -> None:
    seconds = int(redis.time()[0]) - by.total_seconds()  # type: ignore[index]  # not asynchronous
    redis.hset(PAYLOAD_KEY, "received_us", f"{seconds * 1_000_000:.0f}")


def test_a_body_comes_back_until_it_is_committed(stash: Stash) -> None:
    stash.put(7, BODY)
    assert body_after(stash, 6) == BODY
    assert body_after(stash, 6) == BODY


@pytest.mark.parametrize("in_redis", [True, False])
def test_only_a_body_of_a_later_run_than_the_last_committed_comes_back(
    in_redis: bool, redis: Redis, engine: Engine
) -> None:
    stash = Stash(redis if in_redis else None, engine, SOURCE, LIFETIME, keys=KEYS)
    assert stash.get(after(0)) is None
    stash.put(7, BODY)
    assert stash.get(after(7)) is None
    assert stash.get(after(8)) is None


def test_of_a_body_that_the_catalogue_is_already_its_receipt_comes_back(stash: Stash) -> None:
    known = replace(after(6), body_digest="d1")
    stash.mark(7, "d1")
    receipt = stash.get(known)
    assert isinstance(receipt, Receipt)
    assert (receipt.digest, receipt.fetch_seconds, receipt.size) == ("d1", 0.0, None)
    assert receipt.at is not None
    assert abs(datetime.now(UTC) - receipt.at) < MINUTE
    assert stash.get(replace(known, refreshed_run_id=7)) is None
    for other in (after(6), replace(known, body_digest="d0"), replace(known, is_holding=True)):
        assert stash.get(other) is None  # the database was set back, or holds a price now


def test_a_mark_counts_from_when_it_was_put_and_only_for_its_source(
    redis: Redis, engine: Engine, both: Stash
) -> None:
    known = replace(after(6), body_digest="d1")
    both.mark(7, "d1")
    age_in_redis(redis, 30 * MINUTE)
    receipt = both.get(known)
    assert receipt is not None
    assert receipt.at is not None
    with reading(engine) as connection:
        assert 30 * MINUTE <= utc_now(connection) - receipt.at < 31 * MINUTE
    assert Stash(redis, engine, "http://stand-in/api/v1", LIFETIME, keys=KEYS).get(known) is None


def test_of_two_bodies_in_the_database_the_later_comes_back(engine: Engine) -> None:
    Stash(None, engine, SOURCE, LIFETIME, keys=KEYS).put(8, b"later")
    with writing(engine) as connection:
        row = {"run_id": 7, "source": SOURCE, "packed": PACKED, "received_at": utc_now(connection)}
        connection.execute(insert(received_bodies), row)  # put at the same moment by a superseded run
    assert body_after(Stash(None, engine, SOURCE, LIFETIME, keys=KEYS), 6) == b"later"


def test_of_the_bodies_in_both_stores_the_later_comes_back(redis: Redis, engine: Engine, both: Stash) -> None:
    both.put(7, b"earlier")
    Stash(None, engine, SOURCE, LIFETIME, keys=KEYS).put(8, b"later")  # this run did not reach Redis
    assert body_after(both, 6) == b"later"

    both.put(9, b"latest")
    with writing(engine) as connection:
        connection.execute(update(received_bodies).values(run_id=8))
    assert body_after(both, 6) == b"latest"


def test_a_database_that_cannot_be_asked_is_not_taken_for_an_empty_one(redis: Redis) -> None:
    with pytest.raises(DatabaseUnavailableError):
        Stash(redis, make_engine(NOWHERE), SOURCE, LIFETIME, keys=KEYS).get(after(0))


def test_a_body_tells_how_long_ago_it_was_received(redis: Redis, engine: Engine, both: Stash) -> None:
    both.put(7, BODY)
    assert timedelta(0) <= age_after(engine, both, 0) < MINUTE
    age_in_redis(redis, 30 * MINUTE)
    assert 30 * MINUTE <= age_after(engine, both, 0) < 31 * MINUTE
    redis.flushall()
    age_in_database(engine, 45 * MINUTE)
    assert 45 * MINUTE <= age_after(engine, both, 0) < 46 * MINUTE


def test_a_body_lives_as_long_as_it_would_be_fresh(redis: Redis, engine: Engine, both: Stash) -> None:
    both.put(7, BODY)
    assert 9_700_000 < redis.pttl(PAYLOAD_KEY) <= 9_720_000
    for age, expected in ((LIFETIME - MINUTE, BODY), (LIFETIME + MINUTE, None)):
        with writing(engine) as connection:
            connection.execute(update(received_bodies).values(run_id=0))
        age_in_redis(redis, age)
        assert body_after(both, 0) == expected
    redis.flushall()
    both.put(7, BODY)
    redis.flushall()
    age_in_database(engine, LIFETIME - MINUTE)
    assert body_after(both, 0) == BODY
    age_in_database(engine, LIFETIME + MINUTE)
    assert both.get(after(0)) is None


def test_a_body_is_as_old_as_it_is_whatever_interval_its_reader_has(redis: Redis, engine: Engine) -> None:
    Stash(redis, engine, SOURCE, LIFETIME, keys=KEYS).put(7, BODY)
    age_in_redis(redis, 30 * MINUTE)
    for lifetime in (LIFETIME / 3, 10 * LIFETIME):
        reader = Stash(redis, engine, SOURCE, lifetime, keys=KEYS)
        assert 30 * MINUTE <= age_after(engine, reader, 0) < 31 * MINUTE
    age_in_database(engine, 30 * MINUTE)
    assert Stash(redis, engine, SOURCE, 29 * MINUTE, keys=KEYS).get(after(0)) is None


@pytest.mark.parametrize("in_redis", [True, False])
def test_a_body_from_a_clock_ahead_is_of_now_and_from_one_far_ahead_is_not_used(
    in_redis: bool, redis: Redis, engine: Engine
) -> None:
    stash = Stash(redis if in_redis else None, engine, SOURCE, LIFETIME, keys=KEYS)
    stash.put(7, BODY)
    for ahead, is_used in ((MINUTE / 2, True), (timedelta(days=1), False)):
        age_in_database(engine, -ahead)
        if in_redis:
            age_in_redis(redis, -ahead)
        if is_used:
            assert timedelta(0) <= age_after(engine, stash, 0) < MINUTE / 2
        else:
            assert stash.get(after(0)) is None


def test_a_body_from_another_address_is_not_used(redis: Redis, engine: Engine, both: Stash) -> None:
    Stash(redis, engine, "http://stand-in/api/v1", LIFETIME, keys=KEYS).put(7, BODY)
    assert both.get(after(0)) is None


def test_a_later_body_replaces_an_earlier_one(stash: Stash) -> None:
    stash.put(7, BODY)
    stash.put(8, b"later")
    assert body_after(stash, 7) == b"later"


def test_a_rejected_body_is_gone_from_both(both: Stash, redis: Redis, engine: Engine) -> None:
    both.put(7, BODY)
    both.reject(7)
    assert both.get(after(0)) is None
    assert not redis.exists(PAYLOAD_KEY)
    with reading(engine) as connection:
        assert connection.execute(select(received_bodies)).all() == []


def test_a_committed_body_is_gone_from_redis(both: Stash, redis: Redis) -> None:
    both.put(7, BODY)
    both.forget(7)
    assert not redis.exists(PAYLOAD_KEY)


def test_what_redis_lost_the_database_has(both: Stash, redis: Redis) -> None:
    both.put(7, BODY)
    redis.flushall()
    assert body_after(both, 6) == BODY


def test_what_redis_could_not_take_the_database_has(no_redis: Redis, engine: Engine) -> None:
    stash = Stash(no_redis, engine, SOURCE, LIFETIME, keys=KEYS)
    stash.put(7, BODY)
    assert body_after(stash, 6) == BODY


def test_a_run_that_was_superseded_takes_nothing_of_its_heir_away(redis: Redis, both: Stash) -> None:
    both.put(8, b"the heir's")
    for act in (lambda: both.put(7, BODY), lambda: both.forget(7), lambda: both.reject(7)):
        act()
        assert redis.hget(PAYLOAD_KEY, "run") == b"8"
        assert body_after(both, 6) == b"the heir's"
    redis.flushall()
    assert body_after(both, 6) == b"the heir's"


def test_an_older_body_in_redis_hides_no_later_one_in_the_database(
    both: Stash, redis: Redis, engine: Engine
) -> None:
    both.put(7, BODY)
    Stash(None, engine, SOURCE, LIFETIME, keys=KEYS).put(8, b"later")  # by one who could not reach Redis
    assert body_after(both, 7) == b"later"


@pytest.mark.parametrize("known", [True, False])
def test_without_any_store_keeping_and_forgetting_pass(known: bool, no_redis: Redis) -> None:
    stash = Stash(None if known else no_redis, make_engine(NOWHERE), SOURCE, LIFETIME, keys=KEYS)
    stash.put(7, BODY)
    stash.forget(7)
    stash.reject(7)


PACKED = zstandard.ZstdCompressor(write_checksum=True).compress(BODY)
GARBAGE = {
    "nothing": b"",
    "text": b"hello",
    "half a message": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED))[:-9],
    "another type": msgspec.msgpack.encode([1, 2]),
    "no zstd": msgspec.msgpack.encode(StashedBody(7, SOURCE, b"plain")),
    "zstd cut short": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:-9])),
    "zstd with a wrong sum": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:-4] + bytes(4))),
    "zstd broken within": msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED[:10] + b"\xff" * 30)),
    "zstd that claims a terabyte": msgspec.msgpack.encode(
        StashedBody(7, SOURCE, bytes.fromhex("28b52ffde00000000000010000") + b"\x01\x00\x00")
    ),
    "a mark that names nothing": msgspec.msgpack.encode(StashedBody(7, SOURCE, b"known:")),
    "a mark that is no text": msgspec.msgpack.encode(StashedBody(7, SOURCE, b"known:\xff")),
    "a source that is no text": msgspec.msgpack.encode({"run_id": 7, "source": 1, "packed": b""}),
}


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("what", GARBAGE)
def test_garbage_in_redis_is_no_body_and_hides_none(
    what: str, redis: Redis, engine: Engine, both: Stash
) -> None:
    row: dict[str, Any] = {"run": 7, "deployment": "ours", "stashed": GARBAGE[what]}
    for received_us in ("1", "x", "9" * 400):
        redis.hset(PAYLOAD_KEY, mapping=row | {"received_us": received_us})
        assert both.get(after(0)) is None
    age_in_redis(redis, MINUTE)
    assert both.get(after(0)) is None
    Stash(None, engine, SOURCE, LIFETIME, keys=KEYS).put(7, BODY)
    assert body_after(both, 0) == BODY


@pytest.mark.parametrize("packed", [b"", b"plain", PACKED[:-9], PACKED[:10] + b"\xff" * 30], ids=len)
def test_garbage_in_the_database_is_no_body_and_no_crash(packed: bytes, engine: Engine) -> None:
    stash = Stash(None, engine, SOURCE, LIFETIME, keys=KEYS)
    stash.put(7, BODY)
    with writing(engine) as connection:
        connection.execute(update(received_bodies).values(packed=packed))
    assert body_after(stash, 0) in (None, b"")


def test_another_kind_of_key_as_an_earlier_release_wrote_is_no_body_and_no_crash(
    redis: Redis, both: Stash
) -> None:
    writes = (
        lambda: redis.lpush(PAYLOAD_KEY, "x"),
        lambda: redis.set(PAYLOAD_KEY, msgspec.msgpack.encode(StashedBody(7, SOURCE, PACKED)), px=60_000),
    )
    for write in writes:
        write()
        assert both.get(after(0)) is None
        both.forget(7)
        assert not redis.exists(PAYLOAD_KEY)
        write()
        both.put(7, BODY)
        assert redis.hget(PAYLOAD_KEY, "run") == b"7"
        assert body_after(both, 0) == BODY
        both.reject(7)


def test_a_stash_that_is_not_to_be_read_keeps_what_is_put_there_for_others(
    redis: Redis, engine: Engine, both: Stash
) -> None:
    forced = Stash(redis, engine, SOURCE, LIFETIME, keys=KEYS, readable=False)
    forced.put(7, BODY)
    assert forced.get(after(0)) is None
    assert body_after(both, 0) == BODY


def test_a_body_that_is_given_is_used_only_where_the_catalogue_is_older() -> None:
    noon = datetime(2026, 8, 6, 12, tzinfo=UTC)
    given = Received(BODY, noon)
    empty = after(0)
    assert take_given(given, empty) == (BODY, given.receipt)
    assert take_given(given, replace(empty, refreshed_at=noon - MINUTE)) == (BODY, given.receipt)
    for later in (noon, noon + MINUTE):
        with pytest.raises(PricesError, match=f"the catalogue is of {later:%Y-%m-%d %H:%M:%S} UTC already"):
            take_given(given, replace(empty, refreshed_at=later))
