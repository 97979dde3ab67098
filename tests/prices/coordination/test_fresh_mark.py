"""The mark that prices are fresh: a skip costs one command to Redis and no question to the database."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from prices.published import make
from prices.published.make import make_publication, publish_current
from prices.published.redis_copy import publish, read_publication
from prices.refresh.outcome import Refresh, RefreshFailedError
from prices.refresh.story import refresh_prices
from prices.runtime.redis_client import LOCK_KEY
from prices.services import Services
from prices.store.database import make_engine, utc_now, writing
from prices.store.tables import catalogue
from tests.support.commands import commands_of
from tests.support.ledger import INTERVAL, fill
from tests.support.lists import body, model

RECEIVED = body(model("a/one"))


def no_fetch(*_given: object) -> bytes:
    raise AssertionError("upstream was asked")


@pytest.fixture
def published(stores: Services) -> Services:
    """Stores with fresh prices that are published."""
    fill(stores.engine, model("a/one"))
    publish_current(stores)
    return replace(stores, fetch=no_fetch)


def as_a_task(services: Services, **other: Any) -> Refresh:
    return refresh_prices(services, worker="w1", task_id="task", trust_marker=True, **other)


def without_database(services: Services) -> Services:
    return replace(services, engine=make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db"))


def make_older(services: Services, by: timedelta) -> None:
    with writing(services.engine) as connection:
        connection.execute(update(catalogue).values(refreshed_at=utc_now(connection) - by))


def test_a_skip_is_one_command_and_asks_no_database(published: Services) -> None:
    nowhere = without_database(published)
    done = as_a_task(nowhere)
    assert (done.outcome, done.reason, done.revision) == ("skipped", "fresh", 1)
    assert done.age_seconds is not None
    assert 0 <= done.age_seconds < 60
    assert commands_of(published.redis, lambda: as_a_task(nowhere)) == ["EVALSHA"]
    assert published.redis.get(LOCK_KEY) is None


def test_the_age_that_a_skip_tells_follows_from_the_mark(published: Services) -> None:
    published.redis.pexpire(published.keys.fresh, INTERVAL * 0.9 - timedelta(hours=1))
    assert as_a_task(published).age_seconds == pytest.approx(3600, abs=30)


def test_a_forced_refresh_ignores_the_mark(published: Services) -> None:
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    assert as_a_task(fetching, force=True).outcome == "refreshed"
    with pytest.raises(RefreshFailedError, match="database"):
        as_a_task(without_database(fetching), force=True)


def test_who_does_not_trust_the_mark_asks_the_database(published: Services) -> None:
    assert refresh_prices(published, worker="run-once").reason == "fresh"
    with pytest.raises(RefreshFailedError, match="database"):
        refresh_prices(without_database(published), worker="run-once")
    make_older(published, INTERVAL)
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    assert refresh_prices(fetching, worker="run-once").outcome == "refreshed"


def test_without_a_mark_the_database_says_that_prices_are_fresh_and_what_redis_lost_is_published_anew(
    published: Services,
) -> None:
    published.redis.flushall()
    assert as_a_task(published).reason == "fresh"
    assert read_publication(published.redis, published.keys) is not None
    assert published.redis.get(published.keys.fresh) == b"1"


def test_a_mark_lasts_as_long_as_the_prices_are_fresh(published: Services) -> None:
    assert published.redis.get(published.keys.fresh) == b"1"
    window = INTERVAL * 0.9 / timedelta(milliseconds=1)
    assert window - 60_000 < published.redis.pttl(published.keys.fresh) <= window
    make_older(published, timedelta(hours=2))
    publish_current(published)
    hours = timedelta(hours=2) / timedelta(milliseconds=1)
    assert window - hours - 60_000 < published.redis.pttl(published.keys.fresh) <= window - hours


def test_the_mark_goes_when_the_database_says_that_prices_are_not_fresh(published: Services) -> None:
    make_older(published, INTERVAL)
    publish_current(published)
    assert published.redis.get(published.keys.fresh) is None


def test_the_mark_goes_also_when_redis_holds_a_later_publication(published: Services) -> None:
    """The database was set back, by a backup or a replica: what Redis holds is later, and wrong."""
    fill(published.engine, model("a/two"))
    publish_current(published)
    make_older(published, INTERVAL)
    with writing(published.engine) as connection:
        connection.execute(update(catalogue).values(revision=1))
    publish_current(published)
    assert published.redis.get(published.keys.fresh) is None


def test_a_reader_that_fills_redis_leaves_the_mark_alone(published: Services) -> None:
    made = make_publication(published.engine, published.settings.markup)
    publish(published.redis, published.keys, *made)
    assert published.redis.get(published.keys.fresh) == b"1"
    published.redis.flushall()
    publish(published.redis, published.keys, *made)
    assert published.redis.get(published.keys.fresh) is None


def test_a_refresh_marks_and_confirms(published: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    make_older(published, INTERVAL)
    publish_current(published)
    monkeypatch.setattr(make, "make_publication", lambda *_: pytest.fail("made again"))
    assert as_a_task(fetching).outcome == "refreshed"
    assert published.redis.get(published.keys.fresh) == b"1"
    assert as_a_task(without_database(published)).reason == "fresh"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("value", ["x", "", b"\xff", "-1"])
def test_a_mark_that_no_publication_wrote_is_no_mark(value: Any, published: Services) -> None:
    make_older(published, INTERVAL)
    published.redis.set(published.keys.fresh, value, px=60_000)
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    assert as_a_task(fetching).outcome == "refreshed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_mark_without_an_end_does_not_end_all_refreshes(published: Services) -> None:
    make_older(published, INTERVAL)
    published.redis.set(published.keys.fresh, "1")
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    assert as_a_task(fetching).outcome == "refreshed"


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_mark_of_another_kind_does_not_end_all_refreshes(published: Services) -> None:
    make_older(published, INTERVAL)
    published.redis.delete(published.keys.fresh)
    published.redis.lpush(published.keys.fresh, "x")
    fetching = replace(published, fetch=lambda *_given: RECEIVED)
    assert as_a_task(fetching).outcome == "refreshed"


def test_a_publication_that_is_refused_marks_nothing_as_fresh(stores: Services) -> None:
    """Redis holds a later one than the database, whose time was moved back."""
    fill(stores.engine, model("a/one"))
    fill(stores.engine, model("a/two"))
    publish_current(stores)
    with writing(stores.engine) as connection:
        earlier = utc_now(connection) - timedelta(minutes=5)
        connection.execute(update(catalogue).values(revision=1, refreshed_at=earlier))
    publish_current(stores)
    assert stores.redis.get(stores.keys.fresh) is None
