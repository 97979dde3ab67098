"""A database that allows three connections beside the test's own: web makes way for those who refresh."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from itertools import count

import pytest
from redis import Redis
from sqlalchemy import Engine, create_engine, text

from local.standin.client import Standin
from prices.errors import DatabaseFullError, DatabaseUnavailableError
from prices.refresh.story import refresh_prices
from prices.runtime.bounds import within
from prices.runtime.redis_client import make_redis
from prices.runtime.settings import Settings
from prices.services import Services
from prices.store import turns
from prices.store.database import make_engine, reading
from prices.store.turns import Patient, Yielding
from tests.conftest import migrate
from tests.support.postgres import make_postgres_database
from web.health import get_health_check_data

MOST = 3
SHORTLY = 10.0
_numbers = count()


@pytest.fixture(scope="module")
def small(small_postgres_url: str) -> str:
    """The address of a migrated database of an ordinary role, which may have three connections."""
    number = next(_numbers)
    url = make_postgres_database(small_postgres_url, f"small_{number}", owner=f"app_{number}")
    migrate(url)
    return Settings.from_env({"DATABASE_URL": url}).database_url


class Server:
    """The server's own view, by one more connection."""

    def __init__(self, url: str) -> None:
        self._engine = create_engine(
            url.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT"
        )
        self._connection = self._engine.connect()

    def count(self, name: str = "pricebeat%") -> int:
        """How many connections are open whose name is like this one."""
        found = text("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE :name")
        number: int = self._connection.execute(found, {"name": name}).scalar_one()
        return number

    def wait_for(self, number: int, name: str = "pricebeat%") -> None:
        """Wait until so many are open."""
        deadline = time.monotonic() + SHORTLY
        while (found := self.count(name)) != number:
            assert time.monotonic() < deadline, f"{found} connections are open, not {number}"
            time.sleep(0.02)

    def close(self) -> None:
        self._connection.close()
        self._engine.dispose()


@pytest.fixture
def server(small_postgres_url: str) -> Iterator[Server]:
    server = Server(small_postgres_url)
    server.wait_for(0)
    yield server
    server.close()


@pytest.fixture
def open_engine(small: str, server: Server) -> Iterator[Callable[..., Engine]]:
    made: list[Engine] = []

    def make(manner: Patient | Yielding, process: str = "worker") -> Engine:
        made.append(make_engine(small, process=process, turns=manner))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@contextmanager
def all_in_use(small: str) -> Iterator[ExitStack]:
    """Use every connection that the database allows."""
    engine = make_engine(small, process="hog")
    with ExitStack() as held:
        for _ in range(MOST):
            held.enter_context(reading(engine.execution_options(pricebeat_brief=True)))
        yield held
    engine.dispose()


def never() -> bool:
    return False


def ask(engine: Engine) -> None:
    with reading(engine) as connection:
        connection.execute(text("SELECT 1"))


# Those who refresh


def test_who_refreshes_waits_for_its_turn_and_asks_for_room(
    open_engine: Callable[..., Engine], small: str
) -> None:
    asked = threading.Event()
    engine = open_engine(Patient(asked.set))
    with all_in_use(small) as held:
        waiting = threading.Thread(target=ask, args=(engine,))
        waiting.start()
        assert asked.wait(SHORTLY)
        assert waiting.is_alive()
        held.close()
        waiting.join(SHORTLY)
    assert not waiting.is_alive()


def test_it_waits_no_longer_than_its_bound_or_that_of_who_asks(
    open_engine: Callable[..., Engine], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_engine(Patient())
    with all_in_use(small):
        began = time.monotonic()
        with pytest.raises(DatabaseFullError, match="allows no more connections"), within(0.3):
            ask(engine)
        assert 0.3 <= time.monotonic() - began < 3
        monkeypatch.setattr(turns, "WAIT_SECONDS", 0.1)
        with pytest.raises(DatabaseFullError):
            ask(engine)


def test_a_database_that_is_away_is_not_waited_for() -> None:
    asked = threading.Event()
    engine = make_engine("postgresql+psycopg://u:p@127.0.0.1:1/db", turns=Patient(asked.set))
    began = time.monotonic()
    with pytest.raises(DatabaseUnavailableError) as refused:
        ask(engine)
    assert not isinstance(refused.value, DatabaseFullError)
    assert time.monotonic() - began < 2
    assert not asked.is_set()


def test_a_limit_of_the_role_is_known_as_well(
    small_postgres_url: str, small: str, open_engine: Callable[..., Engine]
) -> None:
    role = small.partition("//")[2].partition(":")[0]
    admin = create_engine(
        small_postgres_url.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT"
    )
    with admin.connect() as connection:
        connection.execute(text(f"ALTER ROLE {role} CONNECTION LIMIT 0"))
        try:
            with pytest.raises(DatabaseFullError), within(0.1):
                ask(open_engine(Patient()))
        finally:
            connection.execute(text(f"ALTER ROLE {role} CONNECTION LIMIT -1"))
    admin.dispose()


# Web


def test_web_is_refused_at_once_and_leaves_the_server_alone_for_a_moment(
    open_engine: Callable[..., Engine], small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "REST_SECONDS", (0.4, 0.4))
    engine = open_engine(Yielding(never))
    with all_in_use(small):
        began = time.monotonic()
        with pytest.raises(DatabaseFullError):
            ask(engine)
        assert time.monotonic() - began < 0.4
    with pytest.raises(DatabaseFullError):
        ask(engine)
    time.sleep(max(0.0, began + 0.9 - time.monotonic()))
    ask(engine)


def test_web_opens_no_connection_while_room_is_wanted(
    open_engine: Callable[..., Engine], small: str, server: Server
) -> None:
    wanted = [True]
    engine = open_engine(Yielding(lambda: wanted[0]))
    with pytest.raises(DatabaseFullError):
        ask(engine)
    assert server.count() == 0
    wanted[0] = False
    ask(engine)


def test_who_only_asks_for_the_health_takes_room_from_nobody(
    small: str, server: Server, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", small)
    monkeypatch.setenv("REDIS_URL", redis_url)
    with all_in_use(small), make_redis(redis_url) as redis:
        report = get_health_check_data()
        assert (report["status"], report["database"]["status"]) == ("degraded", "full")
        assert not redis.keys("*database_room*")


# How long a connection is kept


def brief(keeps_seconds: float) -> Patient:
    manner = Patient()
    manner.keeps_seconds = keeps_seconds
    return manner


def test_an_idle_connection_is_closed_after_seconds_without_anybody_asking(
    open_engine: Callable[..., Engine], server: Server
) -> None:
    engine = open_engine(brief(0.5))
    ask(engine)
    assert server.count() == 1
    server.wait_for(0)
    ask(engine)
    assert server.count() == 1
    server.wait_for(0)


def test_a_connection_in_use_is_closed_when_it_comes_back_and_not_before(
    open_engine: Callable[..., Engine], server: Server
) -> None:
    engine = open_engine(brief(0.2))
    with reading(engine) as connection:
        connection.execute(text("SELECT pg_sleep(0.5)"))
        assert server.count() == 1
    server.wait_for(0)
    ask(engine)


def test_within_these_seconds_it_is_used_again(open_engine: Callable[..., Engine]) -> None:
    engine = open_engine(Yielding(never))

    def backend() -> int:
        with reading(engine) as connection:
            return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())

    assert backend() == backend()


def test_who_looks_in_keeps_none(open_engine: Callable[..., Engine], server: Server) -> None:
    engine = open_engine(Yielding(never))
    ask(engine.execution_options(pricebeat_brief=True))
    server.wait_for(0)
    ask(engine)
    assert server.count() == 1


def test_one_who_waits_for_a_connection_of_the_process_gets_one_that_became_too_old(
    open_engine: Callable[..., Engine],
) -> None:
    engine = open_engine(brief(0.1))
    engine.pool._max_overflow = -1 + 1  # type: ignore[attr-defined]  # as many as are kept: two
    with reading(engine), reading(engine) as connection:
        waiting = threading.Thread(target=ask, args=(engine,))
        waiting.start()
        connection.execute(text("SELECT pg_sleep(0.3)"))
        began = time.monotonic()
    waiting.join(SHORTLY)
    assert time.monotonic() - began < 1


# All together


class Crowd:
    """Web instances whose clients ask the past all the time, more than the database has connections for."""

    def __init__(self, settings: Settings, redis: Redis, instances: int) -> None:
        self.answered = self.refused = 0
        self._stop = threading.Event()
        self._instances = [Services.make_for_web(settings, redis) for _ in range(instances)]
        self._threads = [threading.Thread(target=self._ask, args=(one,)) for one in self._instances]

    def _ask(self, services: Services) -> None:
        while not self._stop.is_set():
            try:
                with reading(services.engine) as connection:
                    connection.execute(text("SELECT pg_sleep(0.05)"))
                self.answered += 1
            except DatabaseFullError:
                self.refused += 1
                time.sleep(0.01)

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(SHORTLY)
        for services in self._instances:
            services.engine.dispose()


def test_no_number_of_clients_keeps_a_refresh_from_the_database(
    small: str,
    redis_url: str,
    server: Server,
    standin: Standin,
    make_services: Callable[[Settings], Services],
) -> None:
    settings = Settings.from_env(
        {"DATABASE_URL": small, "REDIS_URL": redis_url, "OPENROUTER_BASE_URL": standin.base_url}
    )
    services = make_services(settings)
    with Crowd(settings, services.redis, 3 * MOST) as crowd:
        server.wait_for(MOST, "pricebeat web")
        done = refresh_prices(services, worker="w1", force=True)
        assert done.outcome == "refreshed"
        answered = crowd.answered
        server.wait_for(MOST - 1, "pricebeat web")  # they come back, beside those of the worker
    assert crowd.answered > answered
    assert crowd.refused > 0


def test_without_redis_a_refresh_takes_its_chance(
    small: str, server: Server, standin: Standin, services_without_redis: Services
) -> None:
    settings = replace(services_without_redis.settings, database_url=small, upstream_url=standin.base_url)
    services = Services.make(settings)
    with all_in_use(small) as held:
        timer = threading.Timer(0.3, held.close)
        timer.start()
        assert refresh_prices(services, worker="w1", force=True).degraded
        timer.join()
    services.close()
