"""The copy in a web process's memory: kept up, never set back, and asked for at most once a second."""

import gzip
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from redis import Redis
from sqlalchemy import update

from prices.errors import DatabaseUnavailableError, OverloadedError, PricesError, SchemaBehindError
from prices.published import make, redis_copy
from prices.published import reader as reader_module
from prices.published.bodies import Publication, Stamp
from prices.published.make import publish_current
from prices.published.packing import pack
from prices.published.reader import BREAKER_SECONDS, DATABASE_SECONDS, SnapshotReader
from prices.published.redis_copy import read_stamp
from prices.published.snapshot import Snapshot
from prices.runtime.background import MOST_AT_ONCE
from prices.runtime.bounds import Limits
from prices.runtime.deployment import Deployment
from prices.runtime.redis_client import Keys, make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store import postgres
from prices.store.database import make_engine, utc_now, writing
from prices.store.queries import deployment_of
from prices.store.tables import catalogue
from tests.support.commands import commands_of
from tests.support.ledger import fill
from tests.support.lists import model
from tests.support.readers import reader_of
from tests.support.tiny_server import Freezing, TinyServer

BODY = pack(b'{"data":[]}')


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Watched:
    """A reader with a clock of its own, and a count of what it asked."""

    def __init__(self, services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
        self.clock, self.asked, self.from_database = Clock(), 0, 0
        self.reader = reader_of(services, self.clock)
        read_stamp, read_database = redis_copy.read_stamp, make.read_database

        def counted_stamp(*given: Any) -> Any:
            self.asked += 1
            return read_stamp(*given)

        def counted_database(*given: Any) -> Any:
            self.from_database += 1
            return read_database(*given)

        monkeypatch.setattr(redis_copy, "read_stamp", counted_stamp)
        monkeypatch.setattr(reader_module, "NEWS_SECONDS", 10)  # a busy machine is no failure
        monkeypatch.setattr(reader_module, "FIRST_SECONDS", 10)
        monkeypatch.setattr(make, "read_database", counted_database)

    def turn_to(self, services: Services) -> None:
        """Let the reader ask other clients."""
        other = reader_of(services)
        self.reader._redis, self.reader._ask_database = other._redis, other._ask_database

    def after(self, seconds: float) -> Snapshot:
        self.clock.now += seconds
        return self.reader.current()

    def ids(self, seconds: float = 1.0) -> list[str]:
        return list(self.after(seconds).documents)


@pytest.fixture
def watched(stores: Services, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(stores, monkeypatch)


def publish(stores: Services) -> None:
    publish_current(stores)


def settle(reader: SnapshotReader) -> None:
    """Wait for what the reader still asks in the background: it holds a connection."""
    for question in list(reader._look._open):
        question.exception(20)


def without_database(services: Services) -> Services:
    return replace(services, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))


def without_redis(services: Services) -> Services:
    return replace(services, redis=make_redis("redis://127.0.0.1:1/0"))


def test_redis_is_asked_at_most_once_a_second(stores: Services, watched: Watched) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    for _request in range(50):
        watched.after(0.01)
    assert watched.asked == 1
    watched.after(0.6)
    assert watched.asked == 2
    assert watched.from_database == 0


def test_a_new_revision_is_served_within_a_second(stores: Services, watched: Watched) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    assert watched.ids() == ["a/one"]
    fill(stores.engine, model("a/two"), model("a/one"))
    publish(stores)
    assert watched.ids(0.5) == ["a/one"]
    assert watched.ids(0.5) == ["a/two", "a/one"]


def test_an_empty_redis_is_refilled_from_the_database(stores: Services, watched: Watched) -> None:
    fill(stores.engine, model("a/one"))
    assert watched.ids() == ["a/one"]
    assert read_stamp(stores.redis, stores.keys) == watched.after(0).stamp
    stores.redis.flushall()
    assert watched.ids() == ["a/one"]
    assert read_stamp(stores.redis, stores.keys) == watched.after(0).stamp


def test_a_flushed_redis_is_refilled_by_one_of_many(stores: Services) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    readers = [reader_of(stores) for _ in range(8)]
    for reader in readers:
        reader.current()
        reader._asked_at = None
    stores.redis.flushall()

    def ask_all() -> None:
        with ThreadPoolExecutor(len(readers)) as threads:
            list(threads.map(SnapshotReader.current, readers))
        for reader in readers:
            settle(reader)

    sent = commands_of(stores.redis, ask_all)
    assert sent.count("EVALSHA") == 1
    assert read_stamp(stores.redis, stores.keys) == readers[0].current().stamp


def test_a_flushed_redis_is_refilled_with_what_was_committed_meanwhile(
    stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/one"))
    watched.ids()
    stores.redis.flushall()
    fill(stores.engine, model("a/two"))
    assert watched.ids() == ["a/two"]
    assert redis_copy.read_publication(stores.redis, stores.keys)[1].revision == 2  # type: ignore[index]


def test_the_empty_catalogue_is_an_answer(watched: Watched) -> None:
    first = watched.after(0)
    assert (first.revision, first.age_seconds, first.documents) == (0, None, {})


def test_a_publication_older_than_the_copy_is_not_taken_and_is_put_right(
    stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/old"))
    publish(stores)
    old = stores.redis.hgetall(stores.keys.snapshot)
    fill(stores.engine, model("a/new"))
    publish(stores)
    assert watched.ids() == ["a/new"]
    stores.redis.delete(stores.keys.snapshot)
    stores.redis.hset(stores.keys.snapshot, mapping=old)  # a replica that was behind took over
    assert watched.ids() == ["a/new"]
    assert read_stamp(stores.redis, stores.keys) == watched.after(0).stamp


def test_a_confirmation_moves_the_age_and_keeps_the_bodies(stores: Services, watched: Watched) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    first = watched.after(0)
    documents = first.documents
    fill(stores.engine, model("a/one"))
    publish(stores)
    later = watched.after(1)
    assert later.stamp.refreshed_at > first.stamp.refreshed_at  # type: ignore[operator]
    assert later.published is first.published
    assert later.documents is documents


def test_without_redis_the_database_answers_now_and_then_and_redis_is_left_alone_a_while(
    stores: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    watched = Watched(without_redis(stores), monkeypatch)
    assert watched.ids() == ["a/one"]
    assert (watched.asked, watched.from_database) == (1, 1)
    fill(stores.engine, model("a/two"))
    assert watched.ids(DATABASE_SECONDS[0] - 0.1) == ["a/one"]
    assert watched.from_database == 1
    assert watched.ids(DATABASE_SECONDS[1] - DATABASE_SECONDS[0] + 0.1) == ["a/two"]
    assert (watched.asked, watched.from_database) == (1, 2)
    watched.ids(BREAKER_SECONDS)
    assert watched.asked == 2
    watched.reader._redis.close()


def test_without_any_store_the_copy_in_memory_serves_on_with_its_age(
    stores: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    with writing(stores.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=utc_now(connection) - timedelta(hours=7)))
    watched = Watched(stores, monkeypatch)
    watched.ids()
    watched.turn_to(without_redis(without_database(stores)))
    assert watched.ids() == ["a/one"]
    assert 7 * 3600 <= (watched.after(1).age_seconds or 0) < 7 * 3600 + 60


def test_with_nothing_in_memory_and_no_store_it_says_so(stores: Services) -> None:
    reader = reader_of(without_redis(without_database(stores)))
    with pytest.raises(DatabaseUnavailableError):
        reader.current()


def test_a_schema_that_is_behind_is_said_and_memory_goes_before(
    stores: Services, watched: Watched, tmp_path: Any
) -> None:
    empty = replace(without_redis(stores), engine=make_engine(f"sqlite:///{tmp_path}/empty.sqlite3"))
    with pytest.raises(SchemaBehindError):
        reader_of(empty).current()
    fill(stores.engine, model("a/one"))
    watched.ids()
    watched.turn_to(empty)
    assert watched.ids() == ["a/one"]
    empty.engine.dispose()


def test_redis_alone_is_enough(stores: Services) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    assert list(reader_of(without_database(stores)).current().documents) == ["a/one"]


@pytest.mark.parametrize(
    "garbage",
    [{"refreshed_us": "soon"}, {"refreshed_us": "9" * 30}, {"content": b"\xff"}, {"publication": b"\xc1"}],
    ids=str,
)
@pytest.mark.parametrize("knows", [True, False])
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_garbage_in_redis_harms_no_reader(
    knows: bool, garbage: Any, stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    if knows:
        watched.ids()
    stores.redis.hset(stores.keys.snapshot, mapping=garbage)
    assert watched.ids() == ["a/one"]


def test_a_revision_is_fetched_by_one_thread_while_the_others_are_served_from_memory(
    stores: Services, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    first = watched.after(0)
    asking, go_on = threading.Event(), threading.Event()
    read = redis_copy.read_stamp

    def slow(*given: Any) -> Any:
        asking.set()
        assert go_on.wait(10)
        return read(*given)

    monkeypatch.setattr(redis_copy, "read_stamp", slow)
    monkeypatch.setattr(reader_module, "NEWS_SECONDS", 0.04)
    watched.clock.now += 1
    with ThreadPoolExecutor(8) as pool:
        served = [pool.submit(watched.reader.current) for _ in range(8)]
        assert all(one.result(10) is first for one in served)  # while the answer is not there yet
    assert asking.is_set()
    go_on.set()
    monkeypatch.setattr(reader_module, "NEWS_SECONDS", 10)
    assert watched.after(1).stamp == first.stamp
    settle(watched.reader)
    assert watched.asked in (2, 3)  # the one that was slow, and the one after it unless they met


def test_a_request_waits_for_slow_stores_no_longer_than_its_bound(
    stores: Services, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    watched.after(0)
    go_on = threading.Event()
    monkeypatch.setattr(redis_copy, "read_stamp", lambda *_: go_on.wait(20) and None)
    monkeypatch.setattr(reader_module, "NEWS_SECONDS", 0.04)
    began = time.monotonic()
    for _request in range(20):  # within the second after the first one's wait, nobody waits again
        assert list(watched.after(0.01).documents) == ["a/one"]
    for _second in range(3):
        watched.after(1)
    took = time.monotonic() - began
    go_on.set()
    settle(watched.reader)
    assert took < 5 * 0.04 + 1


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_an_instance_without_a_copy_keeps_nobody_waiting_longer_than_one_look(stores: Services) -> None:
    """A database that hangs costs one bounded wait, not one for each request behind another."""
    with TinyServer(lambda connection: connection.recv(1 << 16) and connection.recv(1) and None) as hangs:
        engine = make_engine(f"postgresql+psycopg://u:p@127.0.0.1:{hangs.port}/db")
        reader = reader_of(without_redis(replace(stores, engine=engine)))

        def ask(_number: int) -> float:
            began = datetime.now(UTC)
            with pytest.raises(PricesError):
                reader.current()
            return (datetime.now(UTC) - began).total_seconds()

        with ThreadPoolExecutor(4) as pool:
            waits = list(pool.map(ask, range(4)))
        settle(reader)
        engine.dispose()
    assert max(waits) < 4


@pytest.fixture
def wire(postgres_url: str) -> Iterator[Freezing]:
    """A wire to PostgreSQL that can stand still."""
    folder = parse_qs(urlsplit(postgres_url).query)["host"][0]
    wire = Freezing(f"{folder}/.s.PGSQL.5432")
    with wire.server:
        yield wire
        wire.thaw()


@pytest.fixture
def wired(wire: Freezing, emptied_postgres: str) -> Iterator[Services]:
    """Clients of a database at the end of the wire, and of a Redis that refuses."""
    url = f"postgresql+psycopg://postgres:@127.0.0.1:{wire.server.port}{urlsplit(emptied_postgres).path}"
    settings = Settings.from_env({"DATABASE_URL": url, "REDIS_URL": "redis://127.0.0.1:1/0"})
    engine, redis = make_engine(url, limits=Limits(statement=0.3)), make_redis(settings.redis_url)
    services = Services(settings, engine, redis, Deployment(redis, "", "", partial(deployment_of, engine)))
    yield services
    services.engine.dispose()
    services.redis.close()


def test_a_database_that_stands_still_keeps_nobody_waiting(
    wire: Freezing, wired: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection that was good and hangs now: the copy in memory serves on, within a bound."""
    monkeypatch.setattr(reader_module, "FIRST_SECONDS", 10)  # the first answer may take its time here
    clock = Clock()
    reader = reader_of(wired, clock)
    with ThreadPoolExecutor(1) as pool:
        first = reader.current()
        wire.freeze()
        clock.now += 1
        asked = pool.submit(reader.current)
        try:
            assert asked.result(3).revision == first.revision
        finally:
            wire.thaw()
            asked.exception(10)
            settle(reader)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
def test_questions_that_hang_in_the_database_keep_nobody_from_redis(
    wire: Freezing, wired: Services, stores: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis is back, the database has taken questions and answers none: the copy follows Redis again."""
    monkeypatch.setattr(reader_module, "FIRST_SECONDS", 10)
    monkeypatch.setattr(postgres, "SILENCE_SECONDS", 0.3)
    fill(stores.engine, model("a/one"))
    clock = Clock()
    reader = reader_of(wired, clock)
    assert list(reader.current().documents) == ["a/one"]
    fill(stores.engine, model("a/two"))
    publish(stores)
    wire.swallow(b"FROM catalogue")
    for _look in range(MOST_AT_ONCE + 1):
        clock.now += BREAKER_SECONDS
        reader.current()
    reader._redis = stores.redis
    deadline = time.monotonic() + 15
    while list(reader.current().documents) != ["a/two"]:
        assert time.monotonic() < deadline, "the copy does not follow Redis"
        clock.now += 1
    settle(reader)


def test_where_no_thread_can_be_started_the_copy_in_memory_serves_on(
    stores: Services, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    fill(stores.engine, model("a/one"))
    assert watched.ids() == ["a/one"]
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        assert watched.ids() == ["a/one"]
        with pytest.raises(OverloadedError):
            reader_of(stores).current()
    fill(stores.engine, model("a/two"))
    publish(stores)
    assert watched.ids() == ["a/two"]


def test_a_search_finds_ids_and_names_in_the_lists_order(stores: Services, watched: Watched) -> None:
    fill(stores.engine, model("z/Alpha", name="Straße"), model("a/beta", name="ALPHABET"), model("b/gamma"))
    current = watched.after(0)
    assert current.search("alpha") == ["z/Alpha", "a/beta"]
    assert current.search("STRASSE") == ["z/Alpha"]
    assert current.search("nothing") == []


def test_what_is_served_is_what_the_bodies_say(stores: Services, watched: Watched) -> None:
    rows = [model("a/one", extra={"b": [1.0, None]}), model("a/two", prompt="-1")]
    fill(stores.engine, *rows, notice="x")
    current = watched.after(0)
    assert gzip.decompress(current.published.models.gzip) == current.models_body
    assert current.envelope == {"notice": "x", "total_count": 2, "links": {"next": None}}
    assert [entry["id"] for entry in current.entries] == list(current.documents) == ["a/one", "a/two"]
    assert current.entries[1]["prices"]["prompt"] == {"state": "dynamic", "unit": "token"}


def test_a_copy_can_be_confirmed_while_requests_read_it(stores: Services, watched: Watched) -> None:
    class ReadMeanwhile(dict[str, Any]):
        def items(self) -> Any:
            for pair in super().items():
                self["documents"] = {}  # as when another thread asks for it first
                yield pair

    fill(stores.engine, model("a/one"))
    first = watched.after(0)
    first.__dict__ = ReadMeanwhile(first.__dict__)
    assert first.confirmed(Stamp(first.stamp.content, None)).published is first.published


# Clocks that were wrong, and errors that nobody expects


@pytest.mark.parametrize("ahead", [timedelta(minutes=5), timedelta(hours=5), timedelta(days=3)])
def test_the_age_of_prices_whose_time_is_well_ahead_is_unknown(
    ahead: timedelta, stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    served = watched.after(1)
    assert served.stamp.refreshed_at is not None
    assert served.confirmed(Stamp("", served.stamp.refreshed_at + ahead)).age_seconds is None
    assert served.confirmed(Stamp("", datetime.now(UTC) + timedelta(seconds=30))).age_seconds == 0


def test_a_snapshot_from_a_clock_that_was_ahead_is_left_and_not_put_back(
    stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/wrong"))
    with writing(stores.engine) as connection:
        ahead = utc_now(connection) + timedelta(days=300)
        connection.execute(update(catalogue).values(refreshed_at=ahead))
    publish(stores)
    assert watched.ids() == ["a/wrong"]
    fill(stores.engine, model("a/right"))
    publish(stores)
    assert watched.ids() == ["a/right"]
    assert watched.after(1).age_seconds is not None
    right = read_stamp(stores.redis, stores.keys)
    watched.after(10)
    settle(watched.reader)
    assert read_stamp(stores.redis, stores.keys) == right


def test_the_same_prices_confirmed_by_a_clock_that_is_right_again_bear_its_time(
    stores: Services, watched: Watched
) -> None:
    fill(stores.engine, model("a/one"))
    with writing(stores.engine) as connection:
        now = utc_now(connection)
        connection.execute(update(catalogue).values(refreshed_at=now + timedelta(days=300)))
    publish(stores)
    watched.ids()
    with writing(stores.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=now - timedelta(hours=1)))
    publish(stores)
    age = watched.after(1).age_seconds
    assert age is not None
    assert age >= 3600


def test_an_older_word_of_the_database_does_not_replace_the_copy_in_memory(no_redis: Redis) -> None:
    at = datetime.now(UTC)
    publications = [
        (Stamp("two", at), Publication(2, BODY, BODY, {})),
        (Stamp("one", at - timedelta(hours=1)), Publication(1, BODY, BODY, {})),
    ]
    clock = Clock()
    reader = SnapshotReader(no_redis, Keys, lambda _known: publications.pop(0), lambda _stamp: True, clock)
    assert reader.current().revision == 2
    clock.now += 10
    reader.current()
    settle(reader)
    assert reader.current().revision == 2
    assert not publications


def test_an_error_that_nobody_expects_is_logged_and_the_copy_in_memory_serves_on(
    stores: Services, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    assert watched.ids() == ["a/one"]
    monkeypatch.setattr(redis_copy, "read_stamp", lambda *_: 1 / 0)
    assert watched.ids() == ["a/one"]
    assert watched.ids() == ["a/one"]
    fresh = reader_of(stores)
    with pytest.raises(PricesError, match="could not be read"):
        fresh.current()


def test_after_a_slow_wait_nobody_else_waits_within_the_second(
    stores: Services, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(stores.engine, model("a/one"))
    publish(stores)
    watched.after(0)
    go_on = threading.Event()
    monkeypatch.setattr(redis_copy, "read_stamp", lambda *_given: go_on.wait(20) and None)
    monkeypatch.setattr(reader_module, "NEWS_SECONDS", 0.5)
    began = time.monotonic()
    watched.after(1)
    for _request in range(5):
        watched.after(0.01)
    took = time.monotonic() - began
    go_on.set()
    settle(watched.reader)
    assert took < 1
