"""Stores that are migrated once and emptied for each test, and one upstream for all: which is quick."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy import Engine, text, update

from prices.runtime.redis_client import make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import make_engine, writing
from prices.store.tables import catalogue
from tests.support.postgres import database

EMPTY_CATALOGUE = {
    "fence": 0,
    "revision": 0,
    "refreshed_run_id": None,
    "refreshed_at": None,
    "envelope": "{}",
    "body_digest": None,
    "hides_until": None,
}


@pytest.fixture(scope="session")
def emptied_postgres(postgres_url: str, migrated_postgres: str) -> Iterator[str]:
    """The address of a migrated database, to be emptied."""
    name = f"emptied_{os.getpid()}"  # each worker its own
    with database(postgres_url, name, template=migrated_postgres) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a migrated database without content, on each engine that we support."""
    return emptied(request, tmp_path)


def emptied(request: pytest.FixtureRequest, folder: Path) -> str:
    """Give the address of a migrated database without content, on the engine that the request names."""
    if request.param == "sqlite":
        copy = folder / "store.sqlite3"
        shutil.copy(request.getfixturevalue("migrated_sqlite"), copy)
        return f"sqlite:///{copy}"
    url: str = request.getfixturevalue("emptied_postgres")
    engine = make_engine(Settings.from_env({"DATABASE_URL": url}).database_url)
    with writing(engine) as connection:
        connection.execute(
            text(
                "TRUNCATE price_holds, price_changes, model_attributes, revisions, dated_prices,"
                " language_models, refresh_runs, received_bodies, held_newcomers RESTART IDENTITY"
            )
        )
        connection.execute(update(catalogue).values(**EMPTY_CATALOGUE))
    engine.dispose()
    return url


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on such a database."""
    made = make_engine(Settings.from_env({"DATABASE_URL": database_url}).database_url)
    yield made
    made.dispose()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    """A client of an empty Redis."""
    with make_redis(redis_url) as client:
        yield client


@pytest.fixture
def no_redis() -> Iterator[Redis]:
    """A client of a Redis that refuses."""
    with make_redis("redis://127.0.0.1:1/0") as client:
        yield client


@pytest.fixture
def stores(database_url: str, redis_url: str, make_services: Callable[[Settings], Services]) -> Services:
    """Clients of both stores, without an upstream."""
    return make_services(Settings.from_env({"DATABASE_URL": database_url, "REDIS_URL": redis_url}))
