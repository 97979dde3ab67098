"""Behind PgBouncer, which lends a connection for a transaction, all works and nothing is left on it."""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import text

import deploy_migrations
from local.standin.client import Standin
from prices.history import read
from prices.refresh.story import refresh_prices
from prices.runtime.bounds import Limits
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store.database import make_engine, reading, writing
from prices.store.queries import catalogue_state, require_schema
from tests.support.pgbouncer import PROGRAM, pgbouncer
from tests.support.postgres import make_postgres_database

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no PgBouncer on this machine")
CONNECTIONS = 2


@pytest.fixture(scope="module")
def server(postgres_url: str) -> Iterator[str]:
    """The address of an empty database, behind PgBouncer."""
    name = f"behind_pgbouncer_{os.getpid()}"
    make_postgres_database(postgres_url, name)
    with pgbouncer(postgres_url, connections=CONNECTIONS) as url:
        yield url.replace("/postgres", f"/{name}")


@pytest.fixture
def services(
    server: str,
    redis_url: str,
    standin: Standin,
    make_services: Callable[[Settings], Services],
    monkeypatch: pytest.MonkeyPatch,
) -> Services:
    """Clients of a database that the release step has migrated through PgBouncer."""
    monkeypatch.setenv("DATABASE_URL", server)
    assert deploy_migrations.main([]) == 0
    env = {"DATABASE_URL": server, "REDIS_URL": redis_url, "OPENROUTER_BASE_URL": standin.base_url}
    return make_services(Settings.from_env(env))


def test_a_release_a_refresh_and_questions_work(services: Services, standin: Standin) -> None:
    assert refresh_prices(services, worker="w1", force=True).outcome == "refreshed"
    standin.answer(patch={"granite-bay/two-tiers": {"pricing.prompt": "0.000123"}})
    assert refresh_prices(services, worker="w1", force=True, accept_held=True).changes == 1

    def ask(_number: int) -> tuple[int, int]:
        with reading(services.engine) as connection:
            require_schema(connection)
            revision = catalogue_state(connection).revision
            return revision, len(list(read.prices(connection, revision)))

    with ThreadPoolExecutor(4) as pool:  # more than there are connections, each question many times
        assert set(pool.map(ask, range(40))) == {(2, 60)}


def test_limits_hold_in_every_transaction_and_are_left_on_no_connection(
    services: Services, server: str
) -> None:
    engine = make_engine(services.settings.database_url, limits=Limits(statement=7, lock=3))

    def limits(_number: int) -> tuple[str, str]:
        with writing(engine) as connection:
            connection.execute(text("SELECT pg_sleep(0.02)"))
            assert connection.connection.driver_connection.is_lent  # type: ignore[union-attr]
            return connection.scalar(text("SHOW statement_timeout")), connection.scalar(
                text("SHOW lock_timeout")
            )

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(limits, range(20))) == {("7s", "3s")}
    engine.dispose()
    with psycopg.connect(server, autocommit=True) as another:
        for _time in range(2 * CONNECTIONS):
            assert another.execute("SHOW statement_timeout").fetchone() == ("0",)
