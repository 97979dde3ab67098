"""Which deployment a process belongs to: by its database, or by what Redis remembers of its address."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from prices.errors import DatabaseUnavailableError, SchemaBehindError
from prices.runtime import deployment
from prices.runtime.deployment import DOUBT_SECONDS, Deployment, address_of, recall, remember
from prices.runtime.redis_client import Keys
from prices.services import Services

OURS, OTHERS = Keys(deployment="ours"), Keys(deployment="others")
ADDRESS = "0123456789abcdef"


def failing(error: Exception) -> Callable[[], str]:
    def ask() -> str:
        raise error

    return ask


AWAY = failing(DatabaseUnavailableError("the database failed"))


def test_a_database_tells_which_deployment_it_is_that_of(stores: Services) -> None:
    keys = stores.keys
    assert len(keys.deployment) == 16
    assert stores.keys is keys


@pytest.mark.parametrize(
    "other",
    [
        "postgresql+psycopg://me:pass@db.elsewhere:5432/prices",
        "postgresql+psycopg://me:pass@db:5433/prices",
        "postgresql+psycopg://me:pass@db:5432/staging",
        "postgresql+psycopg://you:pass@db:5432/prices",
        "postgresql+psycopg://me:pass@/prices?host=/run/postgresql",
        "postgresql+psycopg://me:pass@db:5432/prices?options=-csearch_path%3Dstaging",
        "sqlite:////prices",
    ],
)
def test_another_database_has_another_address(other: str) -> None:
    assert address_of(other) != address_of("postgresql+psycopg://me:pass@db:5432/prices")


def test_sockets_of_two_servers_are_two_addresses() -> None:
    one, other = (
        f"postgresql+psycopg://me@/prices?host=/run/postgresql&port={port}" for port in (5432, 5433)
    )
    assert address_of(one) != address_of(other)


def test_reports_are_shared_by_the_id_that_the_database_tells_whatever_redis_remembers(redis: Redis) -> None:
    """What Redis remembers of an address may be of another network's database."""
    process = Deployment(redis, "", ADDRESS, AWAY)
    assert process.scope == ADDRESS
    remember(redis, OTHERS, ADDRESS)
    assert process.scope == OTHERS.deployment
    process.learn("ours")
    assert process.scope == "ours"


def test_a_new_password_is_no_other_address_and_stands_in_none() -> None:
    assert address_of("postgresql+psycopg://me:old@db/prices") == address_of(
        "postgresql+psycopg://me:new@db/prices"
    )


def test_a_file_of_another_machine_has_another_address(monkeypatch: pytest.MonkeyPatch) -> None:
    here = address_of("sqlite:////data/prices.sqlite3")
    monkeypatch.setattr(deployment.socket, "gethostname", lambda: "elsewhere")  # type: ignore[attr-defined]
    assert address_of("sqlite:////data/prices.sqlite3") != here


def test_redis_remembers_whose_database_is_at_an_address(redis: Redis) -> None:
    assert recall(redis, "", ADDRESS) is None
    remember(redis, OURS, ADDRESS)
    remember(redis, OURS, ADDRESS)
    assert recall(redis, "", ADDRESS) == OURS
    assert recall(redis, "", "another") is None
    assert recall(redis, "staging:", ADDRESS) is None
    assert redis.ttl(OURS.address(ADDRESS)) > 29 * 24 * 3600


def test_an_address_at_which_two_databases_were_found_is_not_believed_for_a_while(redis: Redis) -> None:
    """Two networks may each have a database called `db`, and a database may be made anew."""
    remember(redis, OTHERS, ADDRESS)
    remember(redis, OURS, ADDRESS)
    assert recall(redis, "", ADDRESS) is None
    now, _micro = redis.time()  # type: ignore[misc]
    redis.zadd(OURS.address(ADDRESS), {"others": now - DOUBT_SECONDS})
    remember(redis, OURS, ADDRESS)
    assert recall(redis, "", ADDRESS) == OURS


@pytest.mark.parametrize("hours", [1, 3, 24])
def test_two_databases_at_one_address_stay_in_doubt_between_their_refreshes(redis: Redis, hours: int) -> None:
    remember(redis, OTHERS, ADDRESS)
    now, _micro = redis.time()  # type: ignore[misc]
    redis.zadd(OURS.address(ADDRESS), {OTHERS.deployment: now - 3600 * hours - 60})
    remember(redis, OURS, ADDRESS)
    assert recall(redis, "", ADDRESS) is None


def test_the_database_is_asked_once_and_goes_before_what_redis_remembers(redis: Redis) -> None:
    remember(redis, OTHERS, ADDRESS)
    told = ["ours"]
    mine = Deployment(redis, "", ADDRESS, told.pop)
    assert mine.keys() == OURS
    assert mine.keys() == OURS


def test_while_the_database_is_away_redis_is_believed_and_no_longer(redis: Redis) -> None:
    mine = Deployment(redis, "", ADDRESS, AWAY)
    with pytest.raises(DatabaseUnavailableError):
        mine.keys()
    remember(redis, OTHERS, ADDRESS)
    assert mine.keys() == OTHERS
    assert mine.learn("ours") == OURS
    assert mine.keys() == OURS


def test_tables_of_an_earlier_release_are_told_as_such(redis: Redis) -> None:
    remember(redis, OURS, ADDRESS)
    with pytest.raises(SchemaBehindError):
        Deployment(redis, "", ADDRESS, failing(SchemaBehindError("behind"))).keys()


def test_without_redis_the_database_alone_tells(no_redis: Redis) -> None:
    mine: Any = Deployment(no_redis, "", ADDRESS, AWAY)
    assert mine.known() is None
    with pytest.raises(DatabaseUnavailableError):
        mine.keys()
    assert Deployment(no_redis, "", ADDRESS, lambda: "ours").keys() == OURS
