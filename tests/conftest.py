"""What all tests share: real stores on this machine, a stand-in upstream, and no network beyond loopback."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import create_engine, text

import deploy_migrations
from local.guardian import Guardian
from local.redis_server import RedisServer
from local.standin.client import Standin
from prices.runtime.settings import ROOT, Settings
from prices.services import Services
from tests.support import postgres
from tests.support.ports import free_port
from tests.support.side_by_side import UnitScheduling, in_order

OWN_VARIABLES = (
    "PRICE_",
    "OPENROUTER_",
    "REDIS_URL",
    "DATABASE_URL",
    "CELERY_",
    "FLOWER_",
    "LOG_FORMAT",
    "PORT",
)

SHARED_FOLDER = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Make a folder for what the workers of a run share."""
    if hasattr(config, "workerinput"):
        config.stash[SHARED_FOLDER] = Path(config.workerinput["shared_folder"])
    else:
        folder = Path(tempfile.mkdtemp(prefix="pricebeat-tests-"))
        folder.chmod(0o711)  # under root PostgreSQL runs as a user of its own, who has to pass through
        config.stash[SHARED_FOLDER] = folder
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(lambda: postgres.stop(folder / "postgres"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker where that folder is."""
    node.workerinput["shared_folder"] = str(node.config.stash[SHARED_FOLDER])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> UnitScheduling | None:
    """Divide the tests by units, unless another way is asked for."""
    return UnitScheduling(config, log) if config.getoption("dist") == "load" else None


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the units of tests that run side by side in the order in which they are begun."""
    if hasattr(config, "workerinput"):
        items[:] = in_order(items, lambda item: item.nodeid)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the developer's own settings out of the tests."""
    for name in os.environ:
        if name.startswith(OWN_VARIABLES):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One real Redis for the tests that only use it; those that break it start their own."""
    with contextlib.closing(Guardian()) as guardian:  # ends it also when the tests are killed

        def spawn(command: Sequence[str], output: IO[bytes]) -> subprocess.Popen[bytes]:
            return guardian.spawn(command, output=output)

        with RedisServer(
            tmp_path_factory.mktemp("redis"), port=free_port(), persistent=False, spawn=spawn
        ) as server:
            yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """The address of an empty Redis."""
    services = Services.make(Settings.from_env({"REDIS_URL": shared_redis.url}))
    services.redis.flushall()
    services.redis.close()
    return shared_redis.url


@pytest.fixture(scope="session")
def postgres_url(pytestconfig: pytest.Config) -> str:
    """One real PostgreSQL server for all workers of a run; each makes databases of its own in it."""
    return postgres.start_or_join(pytestconfig.stash[SHARED_FOLDER] / "postgres")


@pytest.fixture(scope="session")
def small_postgres_url() -> Iterator[str]:
    """One that allows four connections beside three of superusers."""
    with postgres.postgres_server(max_connections=7) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a database without tables, on each engine that we support."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/pricebeat.sqlite3"
        return
    server = request.getfixturevalue("postgres_url")
    name = f"test_{os.getpid()}_{abs(hash(tmp_path))}"
    admin = create_engine(server.replace("postgresql", "postgresql+psycopg", 1), isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    yield server.replace("/postgres?", f"/{name}?")
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def migrate(url: str) -> None:
    """Run the release step on a database, as a process of its own."""
    subprocess.run(
        [sys.executable, str(ROOT / "deploy_migrations.py")],
        env={**os.environ, "DATABASE_URL": url},
        check=True,
        capture_output=True,
        timeout=60,
    )


@pytest.fixture
def database_url(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> str:
    """The address of a migrated database, on each engine that we support."""
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    assert deploy_migrations.main([]) == 0
    monkeypatch.delenv("DATABASE_URL")
    capsys.readouterr()
    return empty_database_url


@pytest.fixture
def standin() -> Iterator[Standin]:
    """A stand-in OpenRouter whose time stands still."""
    with Standin(models=60) as server:
        yield server


@pytest.fixture
def settings(database_url: str, redis_url: str, standin: Standin) -> Settings:
    """Settings that point at the real stores and the stand-in."""
    return Settings.from_env(
        {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "OPENROUTER_BASE_URL": standin.base_url}
    )


@pytest.fixture
def make_services() -> Iterator[Callable[[Settings], Services]]:
    """Make clients that are closed at the end of the test."""
    made: list[Services] = []

    def make(settings: Settings) -> Services:
        made.append(Services.make(settings))
        return made[-1]

    yield make
    for services in made:
        services.engine.dispose()
        services.redis.close()


@pytest.fixture
def services(settings: Settings, make_services: Callable[[Settings], Services]) -> Services:
    """Clients of the real stores."""
    return make_services(settings)


@pytest.fixture
def services_without_redis(settings: Settings, make_services: Callable[[Settings], Services]) -> Services:
    """Clients of the real database, and of a Redis that refuses."""
    return make_services(replace(settings, redis_url="redis://127.0.0.1:1/0"))
